# SPDX-License-Identifier: Apache-2.0
"""Standard test conditions by name, so that published tables can be set beside ours."""

from __future__ import annotations

from nvcodec.errors import UsageError
from nvcodec.rd.schema import Conditions

_PRESETS = (
    Conditions(note="every frame, one intra frame, PSNR-YUV 6:1:1 as the mean of frames"),
    Conditions(
        name="dcvc",
        note="every frame, one intra frame, YUV 4:2:0, PSNR-YUV 6:1:1 as the mean of frames "
        "(DCVC-DC and later: arXiv:2302.14402, 2402.17414, 2502.20762, 2606.04410)",
    ),
    Conditions(
        name="dcvc96",
        frames=96,
        intra_period=32,
        note="the first 96 frames, intra period 32, PSNR-YUV 6:1:1 as the mean of frames (DCVC-DC, arXiv:2302.14402)",
    ),
    Conditions(
        name="compressai",
        metric="psnr_rgb",
        colour="rgb",
        note="every frame, one intra frame, RGB PSNR as the mean of frames (CompressAI's results/video)",
    ),
    Conditions(
        name="hnerv",
        metric="psnr_rgb",
        colour="rgb",
        crop=(1280, 640),
        note="centre crop 1280x640 (of Big Buck Bunny, 132 frames), RGB PSNR as the mean of frames (HNeRV, "
        "arXiv:2304.02633)",
    ),
    Conditions(
        name="hinerv",
        metric="psnr_rgb",
        colour="rgb",
        note="every frame at full size, RGB PSNR as the mean of frames (HiNeRV, arXiv:2306.09818)",
    ),
    Conditions(
        name="quick",
        frames=32,
        note="the first 32 frames, one intra frame, PSNR-YUV 6:1:1 as the mean of frames: for trying things out",
    ),
)

PRESETS: dict[str, Conditions] = {preset.name: preset for preset in _PRESETS}


def condition_names() -> list[str]:
    """Names that ``get_conditions`` knows, the default first."""
    return list(PRESETS)


def get_conditions(name: str) -> Conditions:
    """The preset called ``name``; UsageError lists those there are."""
    try:
        return PRESETS[name.strip().lower()]
    except KeyError:
        raise UsageError(f"conditions {name!r} are not known; known are {', '.join(PRESETS)}") from None
