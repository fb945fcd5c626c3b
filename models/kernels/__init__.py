# SPDX-License-Identifier: Apache-2.0
"""Compiled integer loops (Numba): prediction, residuals, filters in the loop and, for the encoder, motion search.

Integers give the same result on every processor, whatever the compiler makes of the loops. Everything is compiled at
its first use and kept on disk.
"""
