# SPDX-License-Identifier: Apache-2.0
"""Compiled integer loops: prediction, residuals, syntax, deblocking and, for the encoder, search.

Integers give the same result on every processor, whatever the compiler makes of the loops (see nvcodec.compiled).
"""
