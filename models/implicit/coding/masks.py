# SPDX-License-Identifier: Apache-2.0
"""Which frozen numbers a video that joins a network goes on using: one bit each, entropy-coded.

For each shared tensor with frozen numbers, a byte (how many of 256 are used, 1 to 255); then all bits in one stream.
"""

from __future__ import annotations

import numpy as np
import torch

from nvcodec.entropy.rans import RansReader, RansWriter
from nvcodec.entropy.tables import TableSet
from nvcodec.errors import DamagedStreamError
from nvcodec.models.implicit.representation import Representation
from nvcodec.stream.fields import Cursor, Uint

_SHARE = Uint(1, 1, 255)


def write_masks(representation: Representation) -> bytes:
    """The masks of a representation; nothing where it has none."""
    tensors = _joined(representation)
    shares, writer = [], RansWriter()
    for tensor in tensors:
        bits = tensor.reuse[tensor.known].cpu().numpy().astype(np.int64)
        share = int(np.clip(round(256 * bits.mean()) if bits.size else 128, 1, 255))
        shares.append(share)
        writer.code(bits, np.zeros(len(bits), np.int64), _table(share))
    return bytes(shares) + writer.finish() if tensors else b""


def read_masks(representation: Representation, part: bytes) -> None:
    """Set the masks of a representation; DamagedStreamError for a part that cannot be right."""
    tensors = _joined(representation)
    cursor = Cursor(part, "masks of a network")
    shares = [_SHARE.read(cursor, "share of used numbers") for _ in tensors]
    counts = [int(tensor.known.count_nonzero()) for tensor in tensors]
    rest = cursor.take(cursor.remaining, "masks")
    if not tensors:
        if rest:
            raise DamagedStreamError(f"masks of {len(part)} bytes for a network that has none")
        return
    reader = RansReader(rest, sum(counts))
    for tensor, share, count in zip(tensors, shares, counts, strict=True):
        bits = reader.code(None, np.zeros(count, np.int64), _table(share))
        if count and not 0 <= bits.min() <= bits.max() <= 1:
            raise DamagedStreamError(f"a mask has values from {bits.min()} to {bits.max()}; 0 and 1 are allowed")
        tensor.reuse = tensor.known.clone()
        tensor.reuse[tensor.known] = torch.from_numpy(bits.astype(bool)).to(tensor.known.device)


def _joined(representation: Representation) -> list:
    shared = getattr(representation, "shared", None)
    return [] if shared is None else [tensor for tensor in shared() if tensor.known is not None]


def _table(share: int) -> TableSet:
    return TableSet.from_pmfs([np.array([256.0 - share, float(share)])], [0])
