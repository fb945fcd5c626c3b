# SPDX-License-Identifier: Apache-2.0
"""Fitting a representation to frames; the decoder never imports this."""
