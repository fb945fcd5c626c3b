# SPDX-License-Identifier: Apache-2.0
"""Codecs: the protocol they keep, the registry that finds them, and the built-in ones."""
