# SPDX-License-Identifier: Apache-2.0
"""The anchors: x264, x265, SVT-AV1 and VVenC through ffmpeg, each at its best for the use in question.

Names are FAMILY:PRESET[:ld|ra][:psnr]; "ld" is the default. The commands are listed in docs/anchors.md.

ld (low delay): no picture reordering, one intra frame (or the conditions' period), no lookahead, the number of
reference frames of the preset, no slices or row barriers for threading's sake. ra (random access): the encoder's own
default group of pictures. psnr: tuned for PSNR, as tables of PSNR should be.

Files are bare elementary streams (Annex B, low-overhead OBU): no container is counted. The text that x264 and x265
write about themselves into every stream, up to 2.5 KB, is left out; at low rates it would count against them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from nvcodec.errors import NvcError, UsageError
from nvcodec.rd.codecs import DECODED, SOURCE, STATS, STREAM, LabCodec, Trial
from nvcodec.rd.ffmpeg import FFmpeg, find_ffmpeg, run_command
from nvcodec.rd.schema import CodecRecord, Conditions, Quality

LOW_DELAY, RANDOM_ACCESS = "ld", "ra"


@dataclass(frozen=True)
class Setting:
    """What decides an anchor's bytes besides the quality step."""

    preset: str
    profile: str
    tune: str
    intra_period: int  # frames, 0 = only the first is intra; for low delay
    threads: int


@dataclass(frozen=True)
class Family:
    """One encoder: ``arguments(setting)`` are its options, ``steps`` its default qualities, smallest file first.

    The steps reach about as far in quality as our own codec's: on ordinary clips from 30..35 to 42..49 dB of PSNR-YUV.
    ``steps_ra``: those of random access, where they differ.
    """

    encoder: str
    muxer: str
    suffix: str
    container: str
    parameter: str
    presets: tuple[str, ...]
    steps: tuple[float, ...]
    highest: float
    arguments: Callable[[Setting], list[str]]
    source_format: tuple[str, ...] = ()  # conversion before the encoder
    steps_ra: tuple[float, ...] = ()
    version_pattern: bytes = b""


def _x264(s: Setting) -> list[str]:
    references = {"medium": 3, "slow": 5, "veryslow": 16}[s.preset]
    out = ["-preset", s.preset, *(["-tune", "psnr"] if s.tune else []), "-threads", str(s.threads)]
    if s.profile == LOW_DELAY:
        period = f"keyint={s.intra_period}:min-keyint={s.intra_period}" if s.intra_period else "keyint=infinite"
        out += [
            "-x264-params",
            f"{period}:scenecut=0:bframes=0:rc-lookahead=0:sync-lookahead=0:mbtree=0:sliced-threads=0:ref={references}",
        ]
    # NAL type 6: the encoder's text about itself.
    return [*out, "-bsf:v", "filter_units=remove_types=6"]


def _x265(s: Setting) -> list[str]:
    references = {"medium": 3, "slow": 4, "veryslow": 5}[s.preset]
    out = ["-preset", s.preset, *(["-tune", "psnr"] if s.tune else [])]
    # With one thread there is no pool, and x265 itself drops wavefronts, which cost bits.
    pool = "pools=none" if s.threads == 1 else f"pools={s.threads}"
    params = f"{pool}:frame-threads=1:info=0"
    if s.profile == LOW_DELAY:
        period = f"keyint={s.intra_period}:min-keyint={s.intra_period}:open-gop=0" if s.intra_period else "keyint=-1"
        params += f":{period}:scenecut=0:bframes=0:b-adapt=0:rc-lookahead=0:cutree=0:ref={references}"
    return [*out, "-x265-params", params]


def _svtav1(s: Setting) -> list[str]:
    out = ["-preset", s.preset]
    params = f"lp={s.threads}"
    if s.tune:
        params += ":tune=1"
    if s.profile == LOW_DELAY:
        params += ":pred-struct=1:scd=0"
        if s.intra_period:
            out += ["-g", str(s.intra_period)]
        else:
            params += ":keyint=-1"
    return [*out, "-svtav1-params", params]


def _vvenc(s: Setting) -> list[str]:
    params = f"threads={s.threads}"
    if s.profile == LOW_DELAY:
        # The encoder has low delay only in groups of 8 and without open or closed refresh.
        params += f":gopsize=8:picreordering=0:refreshtype=none:intraperiod={s.intra_period or -1}"
    elif s.threads == 1 and s.preset == "medium":
        # With one thread and frames in parallel, this ffmpeg's libvvenc ends some clips without having written a frame.
        params += ":maxparallelframes=0"
    return ["-preset", s.preset, "-qpa", "0" if s.tune else "1", "-vvenc-params", params]


FAMILIES: dict[str, Family] = {
    "x264": Family(
        "libx264",
        "h264",
        ".h264",
        "H.264 Annex B",
        "crf",
        ("medium", "slow", "veryslow"),
        (35.5, 30, 24, 18, 11.5),
        51,
        _x264,
        steps_ra=(38, 32, 26, 20, 14),
        version_pattern=rb"x264 - core \d+( r\d+ \w+)?",
    ),
    "x265": Family(
        "libx265",
        "hevc",
        ".hevc",
        "H.265 Annex B",
        "crf",
        ("medium", "slow", "veryslow"),
        (36, 30, 24, 18, 12),
        51,
        _x265,
        steps_ra=(38, 30, 24, 18, 14),
        version_pattern=rb"x265 \(build \d+\) - [\w.+-]+",
    ),
    "svtav1": Family(
        "libsvtav1",
        "obu",
        ".obu",
        "AV1 low-overhead OBU",
        "crf",
        ("4", "6", "8"),
        (56, 44, 33, 22, 12),
        63,
        _svtav1,
        version_pattern=rb"SVT-AV1 Encoder Lib v[\w.+-]+",
    ),
    "vvenc": Family(
        "libvvenc",
        "vvc",
        ".vvc",
        "H.266 Annex B",
        "qp",
        ("faster", "fast", "medium"),
        (38, 32, 26, 21, 17),
        63,
        _vvenc,
        # The encoder takes 10-bit samples only: 8-bit ones are shifted up, decoded ones rounded back.
        source_format=("-pix_fmt", "yuv420p10le"),
        version_pattern=rb"libvvenc version: [\w.+-]+",
    ),
}


def anchor_names() -> list[str]:
    """Every anchor there is, in full."""
    return [
        f"{family}:{preset}:{profile}{tune}"
        for family, about in FAMILIES.items()
        for preset in about.presets
        for profile in (LOW_DELAY, RANDOM_ACCESS)
        for tune in ("", ":psnr")
    ]


def anchor_codec(name: str, conditions: Conditions, *, threads: int = 1) -> LabCodec:
    """The anchor called ``name``; UsageError if there is no such name, UnsupportedError if ffmpeg lacks its encoder."""
    family_name, setting = parse_name(name, conditions, threads)
    family = FAMILIES[family_name]
    ffmpeg = find_ffmpeg()
    ffmpeg.require(encoder=family.encoder)
    full_name = ":".join(p for p in (family_name, setting.preset, setting.profile, setting.tune) if p)
    record = CodecRecord(
        full_name,
        family_name,
        setting.profile,
        f"{encoder_version(ffmpeg, family_name)}, ffmpeg {ffmpeg.version}",
        setting.tune,
        setting.preset,
        None,
        {"arguments": family.arguments(setting), "threads": threads},
    )

    def make(step: float) -> Trial:
        encode = encode_command(ffmpeg.path, family, setting, step)
        decode = decode_command(ffmpeg.path, family, threads)
        quality = Quality(family.parameter, step)
        return Trial(record, quality, encode, decode, family.suffix, family.container, check_options=True)

    steps = family.steps_ra if setting.profile == RANDOM_ACCESS and family.steps_ra else family.steps
    return LabCodec(full_name, family.parameter, steps, 0, family.highest, make)


def parse_name(name: str, conditions: Conditions, threads: int = 1) -> tuple[str, Setting]:
    """Split FAMILY:PRESET[:ld|ra][:psnr]; UsageError says which part is wrong and what is allowed."""
    family_name, preset, *rest = [*name.split(":"), ""][: max(2, len(name.split(":")))]
    if family_name not in FAMILIES:
        raise UsageError(f"codec {name!r}: family {family_name!r} is not known, choose from {', '.join(FAMILIES)}")
    presets = FAMILIES[family_name].presets
    if preset not in presets:
        raise UsageError(f"codec {name!r}: preset {preset!r} is not known, choose from {', '.join(presets)}")
    profile, tune = LOW_DELAY, ""
    if rest and rest[0] in (LOW_DELAY, RANDOM_ACCESS):
        profile = rest.pop(0)
    if rest and rest[0] == "psnr":
        tune = rest.pop(0)
    if rest:
        raise UsageError(f"codec {name!r}: {rest[0]!r} is not known there, write {family_name}:{preset}[:ld|ra][:psnr]")
    return family_name, Setting(preset, profile, tune, conditions.intra_period, threads)


def encode_command(ffmpeg_path: str, family: Family, setting: Setting, step: float) -> list[str]:
    """y4m to elementary stream; encoders' frame sizes go to a text file as "pts bytes" lines."""
    return [
        *(ffmpeg_path, "-hide_banner", "-nostdin", "-y", "-loglevel", "warning", "-i", SOURCE, *family.source_format),
        *("-c:v", family.encoder, *family.arguments(setting), f"-{family.parameter}", f"{step:g}"),
        *("-stats_enc_post", STATS, "-stats_enc_post_fmt", "{pts} {size}"),
        *("-f", family.muxer, STREAM),
    ]


def decode_command(ffmpeg_path: str, family: Family, threads: int) -> list[str]:
    """Elementary stream to y4m, every frame once; 10-bit pictures are rounded to 8 bit without dither."""
    rounding = ["-pix_fmt", "yuv420p", "-sws_dither", "none"] if family.source_format else []
    return [
        *(ffmpeg_path, "-hide_banner", "-nostdin", "-y", "-loglevel", "warning", "-threads", str(threads)),
        *("-f", family.muxer, "-i", STREAM, "-fps_mode", "passthrough", *rounding, "-f", "yuv4mpegpipe", DECODED),
    ]


@functools.cache
def encoder_version(ffmpeg: FFmpeg, family_name: str) -> str:
    """What the encoder calls itself, asked by coding one small frame."""
    family = FAMILIES[family_name]
    command = [
        *(ffmpeg.path, "-hide_banner", "-nostdin", "-loglevel", "verbose", "-f", "lavfi", "-i", "color=s=64x64"),
        *("-frames:v", "1", *(family.source_format or ("-pix_fmt", "yuv420p")), "-c:v", family.encoder),
        *("-f", family.muxer, "-"),
    ]
    done = run_command(command, f"{family.encoder}: trial encode")
    found = re.search(family.version_pattern, done.stdout + done.stderr.encode())
    if found is None:
        raise NvcError(f"{family.encoder}: the encoder does not say its version")
    return found.group(0).decode("ascii", "replace").replace(" - ", " ")
