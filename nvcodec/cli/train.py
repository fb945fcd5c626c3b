# SPDX-License-Identifier: Apache-2.0
"""``nvc train``: arguments and work both belong to nvcodec.models.training.cli."""

from nvcodec.models.training.cli import add_arguments, run

__all__ = ["DESCRIPTION", "add_arguments", "run"]

DESCRIPTION = "Train a model from a TOML recipe."
