# SPDX-License-Identifier: Apache-2.0
"""Which numbers of a shared network a video uses: one bit each, entropy-coded.

A byte: 1 where the masks of fresh numbers are coded, 0 where zeros among the numbers say so (learned coding keeps
zeros). Then a byte for each mask (how many of 256 bits are set, 1 to 255), then all bits in one stream. Masks are those
of fresh numbers, where coded, and of frozen numbers, tensor by tensor.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nvcodec.entropy.rans import RansReader, RansWriter
from nvcodec.entropy.tables import TableSet
from nvcodec.errors import DamagedStreamError
from nvcodec.models.implicit.representation import Representation
from nvcodec.stream.fields import Cursor, Uint

_SHARE, _EXPLICIT = Uint(1, 1, 255), Uint(1, 0, 1)


def write_masks(representation: Representation, explicit: bool) -> bytes:
    """The masks of a representation; nothing where it has none. explicit: those of fresh numbers as well."""
    tensors = _shared(representation)
    if not tensors:
        return b""
    masks: list[Tensor] = []
    for tensor in tensors:
        masks += [tensor.kept] if explicit else []
        masks += [] if tensor.known is None else [tensor.reuse[tensor.known]]
    shares, writer = [], RansWriter()
    for mask in masks:
        bits = mask.flatten().cpu().numpy().astype(np.int64)
        shares.append(int(np.clip(round(256 * bits.mean()) if bits.size else 128, 1, 255)))
        writer.code(bits, np.zeros(len(bits), np.int64), _table(shares[-1]))
    return bytes([explicit, *shares]) + writer.finish()


def read_masks(representation: Representation, part: bytes) -> None:
    """Set the masks of a representation; DamagedStreamError for a part that cannot be right."""
    tensors, cursor = _shared(representation), Cursor(part, "masks of a network")
    if not tensors:
        cursor.finish()
        return
    explicit = _EXPLICIT.read(cursor, "kind of masks")
    frozen = [0 if tensor.known is None else int(tensor.known.count_nonzero()) for tensor in tensors]
    fresh = [tensor.fresh.numel() if explicit else 0 for tensor in tensors]
    masks = sum(bool(explicit) + (tensor.known is not None) for tensor in tensors)
    shares = [_SHARE.read(cursor, "share of a mask") for _ in range(masks)]
    reader = RansReader(cursor.take(cursor.remaining, "masks"), sum(frozen) + sum(fresh))
    for tensor, count, fresh_count in zip(tensors, frozen, fresh, strict=True):
        tensor.kept = _read(reader, shares.pop(0), fresh_count).reshape(tensor.fresh.shape) if explicit else None
        if tensor.known is not None:
            tensor.reuse = torch.zeros_like(tensor.known)
            tensor.reuse[tensor.known] = _read(reader, shares.pop(0), count)


def _read(reader: RansReader, share: int, count: int) -> Tensor:
    bits = reader.code(None, np.zeros(count, np.int64), _table(share))
    if count and not 0 <= bits.min() <= bits.max() <= 1:
        raise DamagedStreamError(f"a mask has values from {bits.min()} to {bits.max()}; 0 and 1 are allowed")
    return torch.from_numpy(bits.astype(bool))


def _shared(representation: Representation) -> list:
    shared = getattr(representation, "shared", None)
    return [] if shared is None else shared()


def _table(share: int) -> TableSet:
    return TableSet.from_pmfs([np.array([256.0 - share, float(share)])], [0])
