# SPDX-License-Identifier: Apache-2.0
"""The processes that share the work of a run: one alone, or several that torch.distributed connects."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist


class Group:
    """Which process this is (``rank`` of ``world``), and what it does together with the others.

    Every process must call the same methods in the same order. Device: where messages have to be.
    """

    def __init__(self, device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

    def add(self, arrays: list[np.ndarray]) -> None:
        """Sum float64 arrays over all processes, in place."""
        if self.world == 1:
            return
        for array in arrays:
            total = torch.from_numpy(array).to(self.device)
            dist.all_reduce(total)
            array[...] = total.cpu().numpy()

    def any(self, flag: bool) -> bool:
        """Whether any of the processes says so."""
        if self.world == 1:
            return flag
        said = torch.full((1,), float(flag), device=self.device)
        dist.all_reduce(said)
        return bool(said[0] > 0)

    def follow(self, tensors: list[Tensor]) -> None:
        """Give every process the values that the first one has."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes."""
        if self.world > 1:
            dist.all_reduce(values)
            values /= self.world
        return values
