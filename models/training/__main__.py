# SPDX-License-Identifier: Apache-2.0
"""``python -m nvcodec.models.training``, also under ``torchrun``: what ``nvc train`` starts."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from torch import distributed as dist

from nvcodec.models.training.loop import Training
from nvcodec.models.training.recipe import load_recipe


def main() -> None:
    """Train one run folder; under torchrun each process takes its share of the batch."""
    parser = argparse.ArgumentParser(prog="python -m nvcodec.models.training")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--into", dest="run", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("nccl" if args.device.startswith("cuda") else "gloo")
        if args.device == "cpu":
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // dist.get_world_size()))
    Training(load_recipe(args.recipe), args.cache, args.run, args.device).fit()


if __name__ == "__main__":
    main()
