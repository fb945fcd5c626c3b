# SPDX-License-Identifier: Apache-2.0
"""A video through the frame coder: padding, motion search, and which quality and kind each frame gets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nvcodec.errors import DamagedStreamError
from nvcodec.models.conditional.frame_coder import CodedState, FrameCoder, timed
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.memory import keep_freed_memory
from nvcodec.models.motion.compensation import BLOCK
from nvcodec.models.motion.search import VectorChooser
from nvcodec.models.quality import LEVELS, quantisation_step
from nvcodec.models.transform import blocks_to_planes, planes_to_blocks

if TYPE_CHECKING:
    from nvcodec.models.motion.x264_vectors import X264Search

INTRA_OFFSET = 18  # levels by which a keyframe is finer: all later frames profit; less where the scale begins and ends
INTRA_OFFSET_AT_0 = 8
INTER_PATTERN = (0, -6, -2, -6)
SEARCH_PRESET = "medium"
SEARCH_OFFSET = 0
CUT_SHARE = 0.9  # a frame this much harder to predict in time than in space begins anew

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


class SequenceCoder:
    """Encodes or decodes the frames of one video in order; planes are uint8 of the video's own size."""

    def __init__(self, weights: Weights, height: int, width: int, threads: int = 0, device: str = "cpu"):
        torch.set_num_threads(threads or os.cpu_count() or 1)
        keep_freed_memory()
        self.height, self.width, self.device = height, width, torch.device(device)
        self._padded = (-(-height // 16) * 16, -(-width // 16) * 16)
        self._frames = FrameCoder(weights, self._padded[0] // 8, self._padded[1] // 8, device)
        self._state: CodedState | None = None
        self._search: X264Search | None = None
        self._since_keyframe = 0
        self.timings = self._frames.timings

    def encode(
        self, planes: Planes, quality: int, refresh: bool, seeds: np.ndarray | None = None
    ) -> tuple[bytes, bool, Planes]:
        """One frame: its payload, whether it is a keyframe, and the planes as every decoder will see them.

        seeds: what `search` said of this frame's luma, when that was called ahead; else it is called here.
        """
        if seeds is None:
            seeds = self.search(planes[0], quality)
        luma, picture = self._blocks(planes)
        level = max(0, min(LEVELS - 1, quality + INTER_PATTERN[self._since_keyframe % len(INTER_PATTERN)]))
        before, chooser = self._state, None
        if before is not None and not refresh:
            chooser = self._frames.chooser(luma, before, seeds, level)
        intra = chooser is None or _is_cut(luma, chooser)
        if intra:
            level = _keyframe_level(quality)
            before, chooser, self._since_keyframe = None, None, 0
        self._since_keyframe += 1
        with torch.autocast(self.device.type, enabled=False):  # whatever the program around us has switched on
            payload, self._state = self._frames.encode(picture, before, chooser, level)
        return payload, intra, self._planes()

    def decode(self, payload: bytes, keyframe: bool) -> Planes:
        """The frame of a payload. Raises DamagedStreamError for one that cannot be right."""
        if keyframe:
            self._state = None
        try:
            with torch.autocast(self.device.type, enabled=False):
                self._state = self._frames.decode(payload, self._state)
        except (IndexError, ValueError, RuntimeError) as error:
            raise DamagedStreamError(f"a frame's payload cannot be decoded ({str(error).splitlines()[0]})") from error
        return self._planes()

    def search(self, luma: np.ndarray, quality: int) -> np.ndarray:
        """Motion seeds (H/8, W/8, 2) of the padded picture; once for each frame, in order, from any one thread."""
        from nvcodec.models.motion.x264_vectors import X264Search

        with timed(self.timings, "motion search"):
            if self._search is None:
                # x264's step is about 2^((QP - 4) / 6)
                qp = SEARCH_OFFSET + 6 * np.log2(float(quantisation_step(quality)))
                self._search = X264Search(self.height, self.width, int(np.clip(round(qp), 10, 36)), SEARCH_PRESET)
            found = self._search.search(luma)
        rows, columns = self._padded[0] // 8, self._padded[1] // 8
        return np.pad(found, ((0, rows - found.shape[0]), (0, columns - found.shape[1]), (0, 0)), mode="edge")

    def _blocks(self, planes: Planes) -> tuple[Tensor, Tensor]:
        """The padded luma (H, W), on the CPU, and the picture as blocks."""
        height, width = self._padded
        padded = []
        for plane, (rows, columns) in zip(planes, ((height, width),) + ((height // 2, width // 2),) * 2, strict=True):
            pad = ((0, rows - plane.shape[0]), (0, columns - plane.shape[1]))
            padded.append(torch.from_numpy(np.pad(plane, pad, mode="edge")).float()[None])
        return padded[0][0], planes_to_blocks(*(plane.to(self.device) for plane in padded))

    def _planes(self) -> Planes:
        assert self._state is not None
        y, u, v = blocks_to_planes(self._state.state.blocks)
        half = (self.height + 1) // 2, (self.width + 1) // 2
        cut = (y[0, : self.height, : self.width], u[0, : half[0], : half[1]], v[0, : half[0], : half[1]])
        y8, u8, v8 = (np.ascontiguousarray(p.to(torch.uint8).cpu().numpy()) for p in cut)
        return y8, u8, v8


def _keyframe_level(quality: int) -> int:
    """Level of a keyframe; rises with every step of quality."""
    return round(min(2 * quality + INTRA_OFFSET_AT_0, quality + INTRA_OFFSET, (2 * (LEVELS - 1) + quality) / 3))


def _is_cut(luma: Tensor, chooser: VectorChooser) -> bool:
    """Whether motion explains less of the luma than each block's own mean does."""
    temporal = float(chooser.seed_differences.mean()) / BLOCK**2
    tiles = F.pixel_unshuffle(luma[None, None], 16)
    spatial = float((tiles - tiles.mean(1, keepdim=True)).abs().mean())
    return temporal > CUT_SHARE * spatial + 2
