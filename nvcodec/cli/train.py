# SPDX-License-Identifier: Apache-2.0
"""``nvc train``: arguments and work both belong to nvcodec.models.training.cli."""

from nvcodec.models.training.cli import add_arguments, run

__all__ = ["DESCRIPTION", "EPILOG", "add_arguments", "run"]

DESCRIPTION = """\
Train a model from a TOML recipe and export its weights.

Does what is left to do: prepares data that is not in the cache, trains from where the run stands to the recipe's end,
and writes a weight file if asked. Ctrl-C saves; the same command goes on."""
EPILOG = """\
examples:
  nvc train conditional-s --data videos --stills photographs
  nvc train my.toml --data videos --cache /fast/cache --into runs/my --processes 8
  nvc train my.toml --into runs/my --export my.safetensors
  nvc encode in.mp4 -o out.nvc --model my.safetensors"""
