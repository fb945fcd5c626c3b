# SPDX-License-Identifier: Apache-2.0
"""Entropy coding: integer tables decide every probability, CompressAI's rANS turns symbols into bytes."""
