# SPDX-License-Identifier: Apache-2.0
"""ST-RRED by scikit-video, the only place that touches that package.

R. Soundararajan, A. C. Bovik, "Video quality assessment by reduced reference spatio-temporal entropic differencing",
IEEE Trans. Circuits and Systems for Video Technology 23(4), 2013.

scikit-video 1.1.11 uses names that NumPy took away in 1.24 (``np.float`` and so on). They are put back only while it
runs, under a lock; importing it searches for ffmpeg programs, which it does not need here.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from nvcodec.errors import NvcError

MIN_FRAMES = 2
MIN_SIDE = 64  # the fourth level of its steerable pyramid still has 3x3 blocks to estimate from
_REMOVED = {"float": float, "int": int, "bool": bool, "complex": complex, "object": object, "str": str}
_LOCK = threading.Lock()


def strred(reference: Sequence[np.ndarray], decoded: Sequence[np.ndarray]) -> float:
    """ST-RRED (all blocks averaged after comparing) of T luma planes (H, W), uint8; 0 = identical, lower is better.

    Frames are taken in pairs, as the method defines it, so that memory does not grow with T. Raises NvcError below
    MIN_FRAMES frames or MIN_SIDE samples a side, or where the package is missing or fails.
    """
    frames = len(reference)
    height, width = reference[0].shape if frames else (0, 0)
    if frames < MIN_FRAMES or min(height, width) < MIN_SIDE:
        raise NvcError(
            f"strred: {width}x{height} with {frames} frames, at least {MIN_SIDE}x{MIN_SIDE} and {MIN_FRAMES} are needed"
        )
    with _LOCK, removed_numpy_names(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from skvideo.measure.strred import strred as measure

            pairs = [
                measure(*(np.stack([video[i], video[i + 1]]) for video in (reference, decoded)))[0]
                for i in range(0, frames - 1, 2)
            ]
        except ImportError as error:
            raise NvcError(f"strred: scikit-video cannot be imported ({error})") from None
        except (np.linalg.LinAlgError, ValueError, TypeError, AttributeError, AssertionError) as error:
            raise NvcError(f"strred: scikit-video failed ({error})") from None
    # Columns: spatial and temporal difference of each pair, then the two of the single-number variant.
    spatial, temporal = np.concatenate(pairs)[:, :2].mean(axis=0)
    value = float(spatial * temporal)
    if not np.isfinite(value):
        raise NvcError(f"strred: scikit-video gave {value}")
    return value


@contextmanager
def removed_numpy_names() -> Iterator[None]:
    """Put back the names that this NumPy lacks; take them away again."""
    added = [name for name in _REMOVED if name not in vars(np)]
    for name in added:
        setattr(np, name, _REMOVED[name])
    try:
        yield
    finally:
        for name in added:
            delattr(np, name)
