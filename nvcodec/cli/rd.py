# SPDX-License-Identifier: Apache-2.0
"""``nvc rd``: arguments and work both belong to nvcodec.rd.cli."""

from nvcodec.rd.cli import add_arguments, run

__all__ = ["DESCRIPTION", "add_arguments", "run"]

DESCRIPTION = "Measure rate and distortion of codecs on clips, from real files and fresh decoders."
