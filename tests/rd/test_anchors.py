# SPDX-License-Identifier: Apache-2.0
"""Anchor names, their commands, and what real encoders make of them."""

import subprocess
from pathlib import Path

import pytest

from nvcodec.errors import NvcError, UnsupportedError, UsageError
from nvcodec.rd.anchors import FAMILIES, anchor_codec, anchor_names, decode_command, encode_command, parse_name
from nvcodec.rd.codecs import DECODED, SOURCE, STATS, STREAM, resolve
from nvcodec.rd.ffmpeg import FFmpeg, find_ffmpeg, inspect, run_command
from nvcodec.rd.planes import PlanarVideo
from nvcodec.rd.schema import Conditions

FRAMES = 20


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "moving.y4m"
    source = f"testsrc2=s=96x80:r=25:d={FRAMES / 25}"
    command = [find_ffmpeg().path, "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(command, check=True)
    return path


def code(name, clip, folder, step, conditions=None):
    """(bytes of the stream, [(pts, bytes, is key)] in coding order, decoded video)."""
    trial = anchor_codec(name, conditions or Conditions()).trials([step])[0]
    places = {SOURCE: clip, STREAM: folder / f"s{trial.suffix}", DECODED: folder / "d.y4m", STATS: folder / "s.txt"}
    command = [p if p != "{pts} {size}" else "{pts} {size} {key}" for p in trial.encode]
    run_command([str(places.get(p, p)) for p in command], name, check_options=True)
    run_command([str(places.get(p, p)) for p in trial.decode], name)
    rows = [line.split() for line in places[STATS].read_text().splitlines()]
    return places[STREAM].stat().st_size, [(int(a), int(b), c == "K") for a, b, c in rows], PlanarVideo(places[DECODED])


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_low_delay_has_one_intra_frame_and_no_reordering(family, clip, tmp_path):
    name = f"{family}:{FAMILIES[family].presets[-1 if family == 'svtav1' else 0]}:ld:psnr"
    nbytes, packets, decoded = code(name, clip, tmp_path, 35)
    assert len(decoded) == len(packets) == FRAMES
    assert [pts for pts, _, _ in packets] == list(range(FRAMES))
    assert [pts for pts, _, key in packets if key] == [0]
    assert nbytes <= sum(size for _, size, _ in packets)  # no container, no text about the encoder


@pytest.mark.parametrize("family", ["x264", "x265", "svtav1"])
def test_an_intra_period_is_kept(family, clip, tmp_path):
    name = f"{family}:{FAMILIES[family].presets[-1 if family == 'svtav1' else 0]}:ld"
    _, packets, _ = code(name, clip, tmp_path, 35, Conditions(intra_period=8))
    assert [pts for pts, _, key in packets if key] == [0, 8, 16]


@pytest.mark.parametrize("family", ["x264", "x265"])
def test_random_access_reorders(family, clip, tmp_path):
    _, packets, decoded = code(f"{family}:medium:ra", clip, tmp_path, 30)
    order = [pts for pts, _, _ in packets]
    assert order != sorted(order)
    assert len(decoded) == FRAMES


def test_the_command_is_whole_and_the_version_known():
    codec = anchor_codec("x265:slow:ra:psnr", Conditions())
    trial = codec.trials([30])[0]
    assert codec.name == "x265:slow:ra:psnr"
    for part in (SOURCE, STREAM, STATS, "libx265", "slow", "psnr", "30"):
        assert part in trial.encode
    assert trial.codec.version.startswith("x265 (build ")
    assert find_ffmpeg().version in trial.codec.version
    assert anchor_codec("x264:medium", Conditions()).name == "x264:medium:ld"


def test_every_name_in_the_list_is_understood():
    names = anchor_names()
    assert len(names) == len(set(names)) == 4 * 3 * 2 * 2
    for name in names:
        family, setting = parse_name(name, Conditions())
        assert FAMILIES[family].arguments(setting)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x266:medium", "family 'x266' is not known"),
        ("x264", "preset '' is not known, choose from medium, slow, veryslow"),
        ("x264:placebo", "preset 'placebo'"),
        ("svtav1:5", "choose from 4, 6, 8"),
        ("x264:medium:vbr", "'vbr' is not known there"),
        ("x264:medium:psnr:ld", "'ld' is not known there"),
    ],
)
def test_wrong_names_say_what_is_allowed(name, message):
    with pytest.raises(UsageError, match=message):
        resolve(name, Conditions())


def test_a_step_outside_the_range_is_refused():
    with pytest.raises(UsageError, match="crf 52, allowed is 0 to 51"):
        anchor_codec("x264:medium", Conditions()).trials([52])


@pytest.mark.parametrize(
    ("encoder", "option"),
    [
        ("libx264", ["-x264-params", "bogus=3"]),
        ("libx265", ["-x265-params", "bogus=3"]),
        ("libsvtav1", ["-svtav1-params", "bogus=3"]),
        ("libvvenc", ["-pix_fmt", "yuv420p10le", "-vvenc-params", "bogus=3"]),
        ("libx264", ["-tune", "bogus"]),
    ],
)
def test_a_rejected_option_is_one_line(encoder, option, clip, tmp_path):
    muxer = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "obu", "libvvenc": "vvc"}[encoder]
    command = [find_ffmpeg().path, "-hide_banner", "-nostdin", "-loglevel", "warning", "-i", str(clip), "-c:v", encoder]
    with pytest.raises(NvcError, match="bogus") as caught:
        run_command([*command, *option, "-f", muxer, str(tmp_path / "x")], "it", check_options=True)
    assert "\n" not in str(caught.value)


def test_missing_encoders_and_programs_are_named(tmp_path):
    bare = FFmpeg("/opt/ffmpeg", "1", frozenset(), frozenset(), frozenset())
    with pytest.raises(UnsupportedError, match="no encoder libx264"):
        bare.require(encoder="libx264")
    with pytest.raises(UnsupportedError, match="no filter libvmaf"):
        bare.require(filter_name="libvmaf")
    assert "encoder libvvenc" in bare.missing
    assert inspect(str(tmp_path / "nothing")) is None
    with pytest.raises(NvcError, match="cannot be started"):
        run_command([str(tmp_path / "nothing")], "it")
    assert find_ffmpeg().missing == []


def test_the_documentation_shows_these_very_commands():
    text = (Path(__file__).parents[2] / "docs" / "anchors.md").read_text(encoding="utf-8")
    for name in anchor_names():
        family_name, setting = parse_name(name, Conditions())
        family = FAMILIES[family_name]
        command = encode_command("ffmpeg", family, setting, family.steps[2])
        line = " ".join(f"'{part}'" if " " in part else part for part in command)
        assert f"`{name}`\n\n    {line}\n" in text
        assert " ".join(decode_command("ffmpeg", family, 1)) in text
