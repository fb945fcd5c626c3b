# SPDX-License-Identifier: Apache-2.0
"""Each kind of bad input or output gives one line that names it, and nothing stays behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvcodec.errors import NvcError, UsageError
from nvcodec.media import RawGeometry, VideoFormat, open_sink, open_source

VIDEO = VideoFormat(16, 12, Fraction(1, 25), Fraction(25))


def refusal(*args, kind=NvcError, **options):
    """The message with which reading everything is refused; it must be one line."""
    with pytest.raises(kind) as caught, open_source(*args, **options) as source:
        list(source)
    message = str(caught.value)
    assert "\n" not in message
    assert str(args[0]) in message or "standard input" in message
    return message


def test_missing_file(tmp_path):
    assert refusal(tmp_path / "none.mp4").endswith("no such file")


def test_folder_where_a_file_belongs(tmp_path):
    assert "folder without pictures" in refusal(tmp_path)
    assert "raw video is one file" in refusal(tmp_path, kind=UsageError, raw=RawGeometry(4, 4))


@pytest.mark.parametrize("name", ["a.mp4", "a.y4m", "a.png", "a.bin"])
def test_empty_file(name, tmp_path):
    (tmp_path / name).touch()
    assert refusal(tmp_path / name).endswith("is empty (0 bytes)")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.png", "a.txt"])
def test_noise_is_no_video(name, tmp_path):
    (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(4000))
    message = refusal(tmp_path / name)
    assert "cannot be read as video" in message or "cannot be decoded at frame 0" in message


def test_no_video_stream(tmp_path):
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.rate = 8000
        out.mux(stream.encode(sound))
    assert refusal(path).endswith("no video stream in it (it holds audio)")


def test_zero_frames(tmp_path):
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W16 H16 F25:1\n")
    assert refusal(tmp_path / "a.y4m").endswith("holds no frames")


def test_a_coded_stream_is_pointed_to_decode(tmp_path):
    (tmp_path / "a.nvc").write_bytes(b"anything")
    assert "decode it first" in refusal(tmp_path / "a.nvc", kind=UsageError)


def test_raw_needs_geometry_that_fits(tmp_path):
    path = tmp_path / "a.yuv"
    path.write_bytes(bytes(16 * 12 * 3 // 2 * 2 + 5))
    assert "does not say its geometry" in refusal(path, kind=UsageError)
    message = refusal(path, kind=UsageError, raw=RawGeometry(16, 12))
    assert "581 bytes are no whole number of 16x12 yuv420p pictures of 288 bytes (2 and 5 bytes over)" in message


@pytest.mark.parametrize("raw", [RawGeometry(0, 12), RawGeometry(16, 100_000), RawGeometry(16, 12, None, "yuv9")])
def test_impossible_geometry(raw, tmp_path):
    with pytest.raises(UsageError):
        open_source(tmp_path / "a.yuv", raw=raw)


@pytest.mark.parametrize("size", [(0, 4), (4, -1), (40_000, 4)])
def test_impossible_size(size, bikes_path):
    with pytest.raises(UsageError, match="requested size"):
        open_source(bikes_path, size=size)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "ffv1"), ("a.webm", "libvpx-vp9")])
def test_cut_off_matroska(name, codec, share, encode_clip):
    path = encode_clip(name, codec, count=8)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert f"cut off: it says it has {len(whole)} bytes" in refusal(path)


def test_cut_off_mp4_with_its_index_at_the_end(bikes_path, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(bikes_path.read_bytes()[:-2000])
    assert "cannot be read as video" in refusal(path)


def test_cut_off_mp4_with_its_index_in_front(encode_clip):
    path = encode_clip("a.mp4", "libx264", count=8, container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[:-20])
    assert "cut off: its index reaches to byte" in refusal(path)


@pytest.mark.parametrize("cut", [5, 30, 60, 335, 620])
def test_cut_off_y4m(cut, tmp_path, make_frames):
    with open_sink(tmp_path / "a.y4m", VIDEO) as sink:
        for frame in make_frames(VIDEO, range(3)):
            sink.write(frame)
    whole = (tmp_path / "a.y4m").read_bytes()
    (tmp_path / "a.y4m").write_bytes(whole[:cut])
    refusal(tmp_path / "a.y4m")


def test_damage_in_the_middle_of_ffv1_is_found(tmp_path, make_frames):
    path = tmp_path / "a.mkv"
    with open_sink(path, VIDEO) as sink:
        for frame in make_frames(VIDEO, range(6)):
            sink.write(frame)
    with av.open(str(path)) as container:
        third = [packet for packet in container.demux(video=0) if packet.size][3]
        at, length = third.pos, third.size
    damaged = bytearray(path.read_bytes())
    damaged[at + length // 2] ^= 1
    path.write_bytes(damaged)
    # the decoder works on several frames at once: how many were out when it met the damage depends on its threads
    assert re.search(r"damaged or cut off near frame [0-3]$", refusal(path))


def test_damage_in_the_middle_of_h264_is_said(bikes_path, tmp_path):
    with av.open(str(bikes_path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][10]
        at, length = packet.pos, packet.size
    damaged = bytearray(bikes_path.read_bytes())
    for offset in range(60):
        damaged[at + length // 2 + offset] ^= 0x5A
    (tmp_path / "a.mp4").write_bytes(damaged)
    with open_source(tmp_path / "a.mp4", frames=(0, 20)) as source:
        assert len(list(source)) == 20
    assert any("damaged in the file" in note for note in source.notes)


@pytest.mark.parametrize(
    "header",
    [
        b"YUV4MPEG2 H16 F25:1\n",
        b"YUV4MPEG2 W0 H16 F25:1\n",
        b"YUV4MPEG2 W100000 H100000 F25:1\n",
        b"YUV4MPEG2 W-4 H16 F25:1\n",
        b"YUV4MPEG2 W16 H16 F25\n",
        b"YUV4MPEG2 W16 H16 F25:1 Cxyz\n",
        b"YUV4MPEG2 W16 H16 F25:1 It\n",
        b"YUV4MPEG2 " + b"X" * 5000,
    ],
)
def test_y4m_headers_that_cannot_be(header, tmp_path):
    (tmp_path / "a.y4m").write_bytes(header + b"FRAME\n" + bytes(384))
    refusal(tmp_path / "a.y4m")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.binary(max_size=300))
def test_any_bytes_after_the_magic_end_in_an_nvc_error_or_frames(tail, tmp_path):
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W2 H2" + tail)
    outcome = ""
    try:
        with open_source(tmp_path / "a.y4m") as source:
            outcome = f"{len(list(source))} frames"
    except NvcError as exc:
        outcome = str(exc)
    assert outcome
    assert outcome != "0 frames"
    assert "\n" not in outcome


def test_unknown_suffix_lists_the_known(tmp_path):
    with pytest.raises(UsageError) as caught:
        open_sink(tmp_path / "a.webm", VIDEO)
    for suffix in (".y4m", ".yuv", ".raw", ".mkv", ".mp4", ".png"):
        assert suffix in str(caught.value)
    with pytest.raises(UsageError, match="suffix missing"):
        open_sink(tmp_path / "plain", VIDEO)


@pytest.mark.parametrize("name", ["a.y4m", "a.yuv", "a.mkv", "a.mp4", "a.png", "a_%03d.png"])
def test_an_output_that_exists_is_kept(name, tmp_path, make_frames):
    existing = tmp_path / (name % 1 if "%" in name else name)
    existing.write_bytes(b"precious")
    with pytest.raises(NvcError, match="exists already"):
        open_sink(tmp_path / name, VIDEO)
    assert [path.name for path in tmp_path.iterdir()] == [existing.name]
    assert existing.read_bytes() == b"precious"
    with open_sink(tmp_path / name, VIDEO, overwrite=True) as sink:
        sink.write(make_frames(VIDEO, [0])[0])
        assert existing.read_bytes() == b"precious"  # until all is there
    assert existing.read_bytes() != b"precious"
    assert [path.name for path in tmp_path.iterdir()] == [existing.name]


@pytest.mark.parametrize("name", ["a.y4m", "a.mkv", "a.mp4", "a.png", "a_%03d.png", "folder/"])
@pytest.mark.parametrize("written", [0, 2])
def test_abort_leaves_nothing(name, written, tmp_path, make_frames):
    sink = open_sink(f"{tmp_path}/{name}", VIDEO)
    for frame in make_frames(VIDEO, range(written))[: 1 if name == "a.png" else written]:
        sink.write(frame)
    sink.abort()
    assert list(tmp_path.iterdir()) == []
    sink.abort()


@pytest.mark.parametrize("name", ["a.y4m", "a.mkv", "a.mp4", "a.png", "folder/"])
def test_an_interrupt_leaves_nothing(name, tmp_path, make_frames):
    def interrupted() -> None:
        with open_sink(f"{tmp_path}/{name}", VIDEO) as sink:
            sink.write(make_frames(VIDEO, [0])[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.y4m", "a.yuv", "a.mkv", "a.mp4", "a.png", "folder/"])
def test_no_frames_make_no_file(name, tmp_path):
    sink = open_sink(f"{tmp_path}/{name}", VIDEO)
    with pytest.raises(NvcError, match="no frames"):
        sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.y4m", "a.mkv", "a.png"])
def test_no_such_folder(name, tmp_path):
    with pytest.raises(NvcError, match="no folder"):
        open_sink(tmp_path / "none" / name, VIDEO)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder in which nobody can make files")
@pytest.mark.parametrize("name", ["a.y4m", "a.mkv", "a.mp4", "a.png", "folder/"])
def test_a_folder_nobody_can_write_in(name):
    with pytest.raises(NvcError, match="cannot be written"):
        open_sink(f"/proc/{name}", VIDEO)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="file modes do not bind the superuser")
def test_unwritable_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(NvcError, match="cannot be written: Permission denied"):
        open_sink(tmp_path / "a.y4m", VIDEO)


@pytest.mark.parametrize("overwrite", [False, True])
def test_folder_named_like_a_file_is_refused_or_filled_with_pictures(overwrite, tmp_path, make_frames):
    (tmp_path / "a.mkv").mkdir()
    with pytest.raises(NvcError, match="is a folder"):
        open_sink(tmp_path / "a.mkv", VIDEO, overwrite=overwrite)


LIMITED = """
    import resource, signal, sys
    import numpy as np
    from fractions import Fraction
    from nvcodec.errors import NvcError
    from nvcodec.media import Frame, VideoFormat, open_sink
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    video = VideoFormat(64, 48, Fraction(1, 25), Fraction(25))
    rng = np.random.default_rng(0)
    try:
        sink = open_sink(sys.argv[1], video)
        for number in range(int(sys.argv[2])):
            planes = (rng.integers(0, 256, shape, np.uint8) for shape in ((48, 64), (24, 32), (24, 32)))
            sink.write(Frame(*planes, number, 1))
        sink.close()
    except NvcError as exc:
        print(exc)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files the POSIX way")
@pytest.mark.parametrize("count", [3, 5, 40])
@pytest.mark.parametrize("name", ["a.y4m", "a.yuv", "a.mkv", "a.mp4"])
def test_a_full_disk_gives_one_line_and_leaves_nothing(name, count, tmp_path):
    """A limit on the file size stands for the disk: writes fail in the middle, or only in the last flush."""
    command = [sys.executable, "-c", textwrap.dedent(LIMITED), str(tmp_path / name), str(count)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    if count == 3 or (count == 5 and not result.stdout):
        assert result.stdout == ""
        with open_source(tmp_path / name, raw=RawGeometry(64, 48) if name == "a.yuv" else None) as source:
            assert len(list(source)) == count
        return
    assert result.stdout.count("\n") == 1
    assert "cannot be written: File too large" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_pipe(make_frames):
    def fill() -> None:
        with open_sink("/dev/full", VIDEO) as sink:
            for frame in make_frames(VIDEO, range(100)):
                sink.write(frame)

    with pytest.raises(NvcError, match="/dev/full: cannot be written: No space left on device"):
        fill()
