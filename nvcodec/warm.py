# SPDX-License-Identifier: Apache-2.0
"""Compiles kernels from the other end: what a first use comes to last, while it is busy with what it needs first.

    python -m nvcodec.warm

Numba compiles one function at a time in a process. So `nvcodec.compiled.announce` starts this beside a first use; each
finds on the disk what the other has finished.
"""

from __future__ import annotations

import numpy as np

WIDTH, HEIGHT, LEVEL, CHROMA = 64, 48, 60, 10


def main() -> None:
    """Entropy coding of intra and inter frames, then the search and choice of inter frames, then decoding them."""
    from nvcodec.codec.conditional import DEFAULT_MODEL
    from nvcodec.media.test_pattern import moving_pattern
    from nvcodec.models import zoo
    from nvcodec.models.conditional.efforts import EFFORTS
    from nvcodec.models.conditional.frame import Blocks, Reference
    from nvcodec.models.conditional.frame_coder import FrameCoder, FrameHeader
    from nvcodec.models.conditional.picture import choose, rebuild
    from nvcodec.models.conditional.threads import INLINE
    from nvcodec.models.depth import widen
    from nvcodec.models.kernels.compensation import PAD, padded
    from nvcodec.models.kernels.residual import SAMPLES

    weights = zoo.load(DEFAULT_MODEL, zoo.find(DEFAULT_MODEL).sha256)
    rows, columns = HEIGHT // 16, WIDTH // 16
    coder, symbols = FrameCoder(weights, rows, columns), np.zeros((rows, columns, SAMPLES), np.int16)
    for number, slots in enumerate(((), (0,))):
        header = FrameHeader(LEVEL, CHROMA, True, number, slots)
        coder.encode([(header, number, Blocks(rows, columns), symbols)])
    planes = (frame.planes for frame in moving_pattern(WIDTH, HEIGHT, 3))
    pictures = [(widen(y), widen(u), widen(v)) for y, u, v in planes]
    references = [
        Reference(
            tuple(padded(plane, PAD // 2 if part else PAD) for part, plane in enumerate(pictures[number])),  # type: ignore[arg-type]
            Blocks(rows, columns), LEVEL, number,
        )
        for number in (0, 2)
    ]  # fmt: skip
    blocks, symbols, _ = choose(
        pictures[1], LEVEL, CHROMA, references, True, references[1], np.zeros(2, np.int64), weights.bases,
        EFFORTS["medium"], INLINE,
    )  # fmt: skip
    rebuild(blocks, symbols, LEVEL, CHROMA, references, True, weights.bases, INLINE)


if __name__ == "__main__":
    main()
