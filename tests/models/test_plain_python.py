# SPDX-License-Identifier: Apache-2.0
"""Kernels run as plain Python, which looks at bounds as compiled code does not, and make the same pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nvcodec.media.test_pattern import moving_pattern
from nvcodec.models.conditional.frame_coder import FrameCoder
from nvcodec.models.conditional.motion_search import share_unlike
from nvcodec.models.conditional.plans import PROFILES
from nvcodec.models.conditional.sequence import VideoDecoder
from nvcodec.models.conditional.weights import Weights
from nvcodec.models.depth import widen
from nvcodec.models.kernels.rough_cost import price_curve
from nvcodec.models.kernels.search import costs_alone

HEIGHT, WIDTH, FRAMES = 32, 48, 4
SCRIPT = f"""
import sys
import numpy as np
from nvcodec.codec.conditional import DEFAULT_MODEL
from nvcodec.media.test_pattern import moving_pattern
from nvcodec.models import zoo
from nvcodec.models.conditional.motion_search import share_unlike
from nvcodec.models.conditional.sequence import VideoDecoder, VideoEncoder
from nvcodec.models.conditional.weights import load_weights
from nvcodec.models.depth import widen
from nvcodec.models.kernels.rough_cost import price_curve
from nvcodec.models.kernels.search import costs_alone

weights = load_weights(zoo.find(DEFAULT_MODEL).path)
encoder = VideoEncoder(weights, {HEIGHT}, {WIDTH}, 34, profile=sys.argv[1], preset=sys.argv[2], threads=1)
decoder = VideoDecoder(weights, {HEIGHT}, {WIDTH}, threads=1)
units = [u for f in moving_pattern({WIDTH}, {HEIGHT}, {FRAMES}) for u in encoder.push(f.planes)] + encoder.flush()
arrays = {{}}
for n, unit in enumerate(units):
    arrays[f"payload{{n}}"] = np.frombuffer(unit.payload, np.uint8)
    for k, planes in enumerate(decoder.decode(unit.payload, unit.keyframe)):
        for plane, made, name in zip(planes, unit.planes[k], "yuv", strict=True):
            assert np.array_equal(plane, made)
            arrays[f"{{name}}{{n}}-{{k}}"] = plane
# what only videos with more frames come to
first, *_, last = [widen(frame.y) for frame in moving_pattern({WIDTH}, {HEIGHT}, 9)]
arrays["alone"], arrays["unlike"] = np.zeros(({HEIGHT} // 16, {WIDTH} // 16)), share_unlike(last, first, 50)
costs_alone(first, price_curve(32.0, 0.1), arrays["alone"])
np.savez(sys.argv[3], **arrays)
"""


ROWS, COLUMNS, LEVEL = 5, 5, 60
# a quad of blocks, which is more than those pictures hold, and blocks beside it
OF_QUADS = f"""
import sys
import numpy as np
from nvcodec.codec.conditional import DEFAULT_MODEL
from nvcodec.models import zoo
from nvcodec.models.conditional.frame_coder import FrameCoder, FrameHeader
from nvcodec.models.conditional.frame import Blocks, Reference, empty_planes, without_borders
from nvcodec.models.conditional.picture import choose
from nvcodec.models.conditional.efforts import EFFORTS
from nvcodec.models.conditional.threads import INLINE
from nvcodec.models.conditional.weights import load_weights
from nvcodec.models.kernels.compensation import PAD, extend_edges

random, weights = np.random.default_rng(1), load_weights(zoo.find(DEFAULT_MODEL).path)
planes, picture, nothing = empty_planes({ROWS}, {COLUMNS}), [], np.zeros(({ROWS}, {COLUMNS}, 384), np.int16)
for plane, inside, pad in zip(planes, without_borders(planes), (PAD, PAD // 2, PAD // 2)):
    inside[:] = random.integers(120, 880, [side // 8 for side in inside.shape]).repeat(8, 0).repeat(8, 1)
    extend_edges(plane, pad)
    picture.append((inside + random.integers(-16, 17, inside.shape)).astype(np.uint16))
rest = ([Reference(planes, Blocks({ROWS}, {COLUMNS}), 40, 0)], False, None, np.zeros(2, np.int64), weights.bases)
blocks, symbols, _ = choose(tuple(picture), {LEVEL}, 10, *rest, EFFORTS["medium"], INLINE)
coder, frames = FrameCoder(weights, {ROWS}, {COLUMNS}), [(Blocks({ROWS}, {COLUMNS}), nothing), (blocks, symbols)]
payloads = [coder.encode([(FrameHeader({LEVEL}, 10, True, 0, (0,) * n), n, *frames[n])]) for n in range(2)]
names = ("first", "second")
arrays = dict(zip(names, (np.frombuffer(payload, np.uint8) for payload in payloads)))
np.savez(sys.argv[1], **arrays, **vars(blocks), symbols=symbols)
"""


def run(script: str, *arguments: str) -> None:
    """Without a compiler."""
    settings = {"stdin": subprocess.DEVNULL, "env": {**os.environ, "NUMBA_DISABLE_JIT": "1"}, "timeout": 300}
    command = [sys.executable, "-W", "ignore", "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, **settings)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(("profile", "preset"), [(PROFILES[0], "medium"), (PROFILES[-1], "slow")])
def test_plain_python_finds_no_index_out_of_bounds(weights: Weights, tmp_path: Path, profile: str, preset: str) -> None:
    """Of an encoder and a decoder of a few frames; what they wrote, compiled code decodes to the same."""
    path = tmp_path / "found.npz"
    run(SCRIPT, profile, preset, str(path))
    decoder, found = VideoDecoder(weights, HEIGHT, WIDTH, threads=1), dict(np.load(path))
    count, shown = sum(name.startswith("payload") for name in found), 0
    for n in range(count):
        for k, planes in enumerate(decoder.decode(found[f"payload{n}"].tobytes(), n == 0)):
            assert all(
                np.array_equal(plane, found[f"{name}{n}-{k}"]) for plane, name in zip(planes, "yuv", strict=True)
            )
            shown += 1
    assert shown == FRAMES
    first, *_, last = [widen(frame.y) for frame in moving_pattern(WIDTH, HEIGHT, 9)]
    alone = np.zeros((HEIGHT // 16, WIDTH // 16))
    costs_alone(first, price_curve(32.0, 0.1), alone)
    assert found["alone"] == pytest.approx(alone, rel=1e-5)
    assert found["unlike"] == share_unlike(last, first, 50)


def test_plain_python_codes_quads(weights: Weights, tmp_path: Path) -> None:
    """What it chose and wrote, compiled code reads to the same."""
    path = tmp_path / "found.npz"
    run(OF_QUADS, str(path))
    found, reader = dict(np.load(path)), FrameCoder(weights, ROWS, COLUMNS)
    reader.decode(found.pop("first").tobytes(), True, 0)
    ((_, _, blocks, symbols),) = reader.decode(found.pop("second").tobytes(), False, 1)
    assert found["quad"][:4, :4].all()
    assert np.array_equal(symbols, found.pop("symbols"))
    assert all(np.array_equal(getattr(blocks, name), array) for name, array in found.items())
