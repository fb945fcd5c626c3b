# SPDX-License-Identifier: Apache-2.0
"""From a training run to a weight file: averaged weights, and tables for motion, hyperlatents and latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from nvcodec.datasets.training_cache import CachedClip
from nvcodec.entropy.bottleneck import bottleneck_tables
from nvcodec.entropy.gaussian import gaussian_tables
from nvcodec.entropy.tables import TableSet
from nvcodec.models.conditional.density import SCALE_LEVELS, scale_of_index
from nvcodec.models.conditional.frame_coder import REFINE
from nvcodec.models.conditional.network import ConditionalNetwork
from nvcodec.models.conditional.weights import save_weights
from nvcodec.models.motion.search import VectorChooser
from nvcodec.models.motion.syntax import MotionCounter, MotionTables, code_field

MOTION_STEPS = (8.0, 16.0, 28.0, 45.0)  # quantisation steps whose motion the tables serve
MOTION_FRAMES = 8


def count_motion(clips: list[CachedClip], tables: MotionTables, search: bool) -> MotionTables:
    """Tables from the vectors chosen in these clips, by given tables (``search``), or from the seeds alone."""
    counter = MotionCounter()
    for number, clip in enumerate(clips):
        for which, step in enumerate(MOTION_STEPS):
            seeds = clip.forward[which * len(clip.forward) // len(MOTION_STEPS)]
            before = np.zeros((*seeds.shape[1:3], 2), np.int32)
            start = 1 + number % max(1, clip.frames - MOTION_FRAMES)
            for t in range(start, min(clip.frames, start + MOTION_FRAMES)):
                current, reference = (torch.from_numpy(clip.y[i].astype(np.float32)) for i in (t, t - 1))
                chooser = VectorChooser(current, reference, seeds[t], step, tables, REFINE)
                choose = chooser if search else _take_seeds(seeds[t])
                before = code_field(*before.shape[:2], before, counter, tables, choose)
    return counter.tables()


def _take_seeds(seeds: np.ndarray):
    return lambda blocks, known: seeds[blocks.rows, blocks.columns].astype(np.int32)


def motion_tables(clips: list[CachedClip], every: int = 5) -> MotionTables:
    """Count, choose by what was counted, count again (twice)."""
    tables = count_motion(clips[:: 2 * every], MotionCounter().tables(), search=False)
    for stride in (2 * every, every):
        tables = count_motion(clips[::stride], tables, search=True)
    return tables


def export(
    network: ConditionalNetwork, motion: MotionTables, name: str, path: Path, gaussian: TableSet | None = None
) -> None:
    """Write a weight file from trained (averaged) weights."""
    scales = scale_of_index(torch.arange(SCALE_LEVELS, dtype=torch.float64)).numpy()
    density = network.hyper_density
    tables = {
        "gaussian": gaussian or gaussian_tables(scales),
        "hyper": bottleneck_tables(density.matrices, density.biases, density.factors),
        "motion_choice": motion.choice,
        "motion_classes": motion.classes,
    }
    save_weights(path, name, network, tables)
