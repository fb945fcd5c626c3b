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
from nvcodec.models.conditional.choice import ChoiceCounter, code_choices
from nvcodec.models.conditional.density import SCALE_LEVELS, scale_of_index
from nvcodec.models.conditional.frame_coder import REFINE
from nvcodec.models.conditional.network import ConditionalNetwork
from nvcodec.models.conditional.weights import save_weights
from nvcodec.models.exact import freeze_grids
from nvcodec.models.motion.search import VectorChooser
from nvcodec.models.motion.syntax import MotionCounter, MotionTables, code_field
from nvcodec.models.quality import LEVELS
from nvcodec.models.transform import planes_to_blocks

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


@torch.no_grad()
def choice_tables(network: ConditionalNetwork, clips: list[CachedClip], frames: int = 6) -> TableSet:
    """Count which transforms the network chooses, along the first frames of clips at all kinds of quality."""
    counter, unused = ChoiceCounter(), TableSet.from_pmfs([np.ones(2)], [0])
    network.eval()
    freeze_grids(network)
    for number, clip in enumerate(clips):
        vectors = clip.forward[number % len(clip.forward)]
        quality, state = torch.tensor([(number * 23) % LEVELS], dtype=torch.float32), None
        before = np.zeros((clip.y.shape[1] // 16, clip.y.shape[2] // 16), np.uint8)
        for t in range(min(frames, clip.frames)):
            planes = (torch.from_numpy(p[t].astype(np.float32))[None] for p in (clip.y, clip.u, clip.v))
            field = torch.from_numpy(vectors[t].astype(np.int32))[None]
            state = network(planes_to_blocks(*planes), state, field if t else None, quality)[0]
            fine = state.fine[0, 0].numpy().astype(np.uint8)
            code_choices(int(t > 0), before, counter, unused, fine)
            before = fine
    return counter.table_set()


def export(
    network: ConditionalNetwork,
    motion: MotionTables,
    choices: TableSet,
    name: str,
    path: Path,
    gaussian: TableSet | None = None,
) -> None:
    """Write a weight file from trained (averaged) weights."""
    scales = scale_of_index(torch.arange(SCALE_LEVELS, dtype=torch.float64)).numpy()
    density = network.hyper_density
    tables = {
        "gaussian": gaussian or gaussian_tables(scales),
        "hyper": bottleneck_tables(density.matrices, density.biases, density.factors),
        "motion_choice": motion.choice,
        "motion_classes": motion.classes,
        "transform_choice": choices,
    }
    save_weights(path, name, network, tables)
