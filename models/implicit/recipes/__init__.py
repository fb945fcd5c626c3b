# SPDX-License-Identifier: Apache-2.0
"""One module for each paper; see nvcodec.models.implicit.recipe."""
