# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong: one line, the documented exit code, no traceback, nothing left behind."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import wave
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from nvcodec.codec.conditional import SYNTAX_VERSION
from nvcodec.stream import StreamHeader, StreamWriter
from nvcodec.stream.header import write_header

FAILURE, USAGE, DAMAGED, UNSUPPORTED = 1, 2, 3, 4
Run = Callable[..., subprocess.CompletedProcess[str]]


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """The command failed the way it should."""
    lines = done.stderr.splitlines()
    assert done.returncode == code, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("nvc: ")
    assert "Traceback" not in done.stderr
    assert "unexpected" not in lines[0], "an exception that nobody foresaw"
    for word in words:
        assert word in lines[0]
    assert done.stdout == ""


def encode_refused(nvc: Run, out: Path, code: int, *arguments: object, words: tuple[str, ...] = ()) -> None:
    refused(nvc("encode", *arguments, "-o", out / "x.nvc", "--codec", "toy"), code, *words)
    assert list(out.iterdir()) == []


# --- what goes into encode -------------------------------------------------------------------------------------------


def test_missing_input(nvc: Run, out: Path, tmp_path: Path) -> None:
    encode_refused(nvc, out, FAILURE, tmp_path / "absent.mp4", words=("absent.mp4", "no such file"))


def test_folder_without_pictures(nvc: Run, out: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    encode_refused(nvc, out, FAILURE, tmp_path / "empty", words=("empty",))


def test_no_video_stream(nvc: Run, out: Path, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    encode_refused(nvc, out, FAILURE, tmp_path / "sound.wav", words=("sound.wav", "video"))


def test_file_that_is_no_video(nvc: Run, out: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("Dear Sir or Madam,\n" * 100)
    encode_refused(nvc, out, FAILURE, tmp_path / "letter.mp4", words=("letter.mp4",))


def test_empty_file(nvc: Run, out: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing.mkv").touch()
    encode_refused(nvc, out, FAILURE, tmp_path / "nothing.mkv", words=("nothing.mkv", "empty"))


def test_zero_frames(nvc: Run, out: Path, tmp_path: Path) -> None:
    (tmp_path / "zero.y4m").write_bytes(b"YUV4MPEG2 W64 H48 F25:1\n")
    encode_refused(nvc, out, FAILURE, tmp_path / "zero.y4m", words=("frames",))


def test_picture_size_beyond_the_format(nvc: Run, out: Path, tmp_path: Path) -> None:
    picture = bytes(20000 * 2 + 2 * 10000)
    (tmp_path / "wide.y4m").write_bytes(b"YUV4MPEG2 W20000 H2 F25:1\nFRAME\n" + picture)
    encode_refused(nvc, out, UNSUPPORTED, tmp_path / "wide.y4m", words=("20000x2", "16384"))


def test_raw_length_that_does_not_fit(nvc: Run, out: Path, tmp_path: Path) -> None:
    (tmp_path / "planes.yuv").write_bytes(bytes(64 * 48 * 3 // 2 * 2 + 7))
    encode_refused(nvc, out, USAGE, tmp_path / "planes.yuv", "--raw-size", "64x48", words=("planes.yuv", "64x48"))


def test_raw_without_geometry(nvc: Run, out: Path, tmp_path: Path) -> None:
    (tmp_path / "planes.yuv").write_bytes(bytes(64 * 48 * 3 // 2))
    encode_refused(nvc, out, USAGE, tmp_path / "planes.yuv", words=("planes.yuv", "geometry"))
    encode_refused(nvc, out, USAGE, tmp_path / "planes.yuv", "--raw-format", "nv12", words=("--raw-size",))


def test_y4m_cut_in_a_frame(nvc: Run, out: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.y4m").write_bytes(clip.read_bytes()[:-100])
    encode_refused(nvc, out, FAILURE, tmp_path / "cut.y4m", words=("cut.y4m",))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--quality", "64"),
        ("--quality", "-1"),
        ("--quality", "high"),
        ("--intra-period", "-3"),
        ("--frames", "5:5"),
        ("--frames", "1-2"),
        ("--frames", "99:100"),
        ("--size", "0x10"),
        ("--size", "big"),
        ("--raw-rate", "1/0"),
        ("--threads", "many"),
        ("--codec", "h265"),
    ],
)
def test_values_out_of_range(nvc: Run, out: Path, clip: Path, arguments: tuple[str, str]) -> None:
    refused(
        nvc("encode", clip, "-o", out / "x.nvc", "--codec", "toy", *arguments),
        USAGE,
        arguments[1].strip("-").split(":")[0],
    )
    assert list(out.iterdir()) == []


# --- where the output goes -------------------------------------------------------------------------------------------


def test_existing_output_is_kept_without_y(nvc: Run, out: Path, clip: Path, toy_stream: Path) -> None:
    for command, source, name in (("encode", clip, "x.nvc"), ("decode", toy_stream, "x.y4m")):
        target = out / name
        target.write_text("precious")
        extra = ["--codec", "toy"] if command == "encode" else []
        done = nvc(command, source, "-o", target, *extra)
        refused(done, FAILURE, name, "exists")
        assert target.read_text() == "precious"
        assert nvc(command, source, "-o", target, "-y", *extra).returncode == 0
        assert target.stat().st_size > 100
        assert [p.name for p in out.iterdir()] == [name]
        target.unlink()


def test_output_folder_that_does_not_exist(nvc: Run, out: Path, clip: Path, toy_stream: Path) -> None:
    refused(nvc("encode", clip, "-o", out / "no" / "x.nvc", "--codec", "toy"), FAILURE, "x.nvc")
    refused(nvc("decode", toy_stream, "-o", out / "no" / "x.y4m"), FAILURE, "x.y4m")
    assert list(out.iterdir()) == []


def test_output_is_a_folder(nvc: Run, out: Path, clip: Path) -> None:
    (out / "x.nvc").mkdir()
    refused(nvc("encode", clip, "-o", out / "x.nvc", "-y", "--codec", "toy"), FAILURE, "x.nvc")
    assert [p.name for p in out.iterdir()] == ["x.nvc"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_output_folder_without_permission(nvc: Run, out: Path, clip: Path) -> None:
    out.chmod(0o500)
    refused(nvc("encode", clip, "-o", out / "x.nvc", "--codec", "toy"), FAILURE, "x.nvc")


def test_unknown_output_suffix(nvc: Run, out: Path, toy_stream: Path) -> None:
    refused(nvc("decode", toy_stream, "-o", out / "x.avi"), USAGE, ".avi", ".y4m")
    assert list(out.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device that is always full is a Linux one")
def test_full_device(nvc: Run, clip: Path, toy_stream: Path) -> None:
    refused(nvc("encode", clip, "-o", "/dev/full", "--codec", "toy"), FAILURE, "/dev/full", "No space")
    refused(nvc("decode", toy_stream, "-o", "/dev/full"), FAILURE, "/dev/full", "No space")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
@pytest.mark.parametrize("suffix", [".y4m", ".mkv", ".mp4", ".png"])
def test_disk_that_fills_up_while_writing(nvc: Run, out: Path, toy_stream: Path, suffix: str) -> None:
    limited = limit_file_size(1000)
    name = "x%d.png" if suffix == ".png" else f"x{suffix}"
    refused(nvc("decode", toy_stream, "-o", out / name, preexec_fn=limited), FAILURE)
    assert list(out.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
def test_disk_that_fills_up_while_encoding(nvc: Run, out: Path, clip: Path) -> None:
    done = nvc("encode", clip, "-o", out / "x.nvc", "--codec", "toy", "-q", 63, preexec_fn=limit_file_size(1000))
    refused(done, FAILURE, "x.nvc")
    assert list(out.iterdir()) == []


def limit_file_size(nbytes: int) -> Callable[[], None]:
    """Writing beyond fails as on a full disk (with its own text)."""
    import resource

    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, nbytes))


# --- streams that are not right --------------------------------------------------------------------------------------


def decode_refused(nvc: Run, out: Path, packed: bytes, code: int, *words: str) -> None:
    """Decoding and looking refuse the bytes; ``words``: in the message of decode."""
    broken = out.parent / "broken.nvc"
    broken.write_bytes(packed)
    refused(nvc("decode", broken, "-o", out / "x.y4m"), code, *words)
    assert list(out.iterdir()) == []


def test_stream_cut_anywhere(nvc: Run, out: Path, stream: Path, codec: str) -> None:
    packed = stream.read_bytes()
    draw = random.Random(1)
    lengths = [0, 3, 20, *(draw.randrange(30, len(packed) - 1) for _ in range(2)), len(packed) - 1]
    for length in lengths if codec == "toy" else lengths[-2:]:  # a process with networks takes its time
        decode_refused(nvc, out, packed[:length], DAMAGED, "broken.nvc")


def test_flipped_bit_anywhere(nvc: Run, out: Path, stream: Path, codec: str) -> None:
    packed = stream.read_bytes()
    draw = random.Random(2)
    # Among them the header, the middle and the footer; a flipped version number may also read as another version.
    places = [6, 20, *(draw.randrange(len(packed)) for _ in range(3)), len(packed) - 3]
    for place in places if codec == "toy" else places[-2:]:
        changed = bytearray(packed)
        changed[place] ^= 1 << draw.randrange(8)
        decode_refused(nvc, out, bytes(changed), DAMAGED, "broken.nvc")


def test_missing_stream_and_folder(nvc: Run, out: Path) -> None:
    refused(nvc("decode", out / "absent.nvc", "-o", out / "x.y4m"), FAILURE, "absent.nvc", "no such file")
    refused(nvc("decode", out, "-o", out / "x.y4m"), FAILURE, "folder")
    refused(nvc("info", out), FAILURE, "folder")
    refused(nvc("info", out / "absent.nvc"), FAILURE, "absent.nvc")


def test_another_kind_of_file(nvc: Run, out: Path, clip: Path) -> None:
    decode_refused(nvc, out, clip.read_bytes(), DAMAGED, "not an .nvc stream")


def test_a_stream_is_no_input_of_encode(nvc: Run, out: Path, toy_stream: Path) -> None:
    encode_refused(nvc, out, USAGE, toy_stream, words=("nvc decode",))


def with_header_crc(packed: bytes, header_nbytes: int) -> bytes:
    start = packed[: header_nbytes - 4]
    return start + struct.pack("<I", zlib.crc32(start)) + packed[header_nbytes:]


def test_unknown_version(nvc: Run, out: Path, toy_stream: Path) -> None:
    packed = bytearray(toy_stream.read_bytes())
    header_nbytes = len(write_header(toy_header()))
    packed[4] = 200
    decode_refused(nvc, out, with_header_crc(bytes(packed), header_nbytes), UNSUPPORTED, "200")


def toy_header(**changes: object) -> StreamHeader:
    """A header as the toy codec's streams have it; ``changes`` are not checked."""
    from fractions import Fraction

    header = StreamHeader(codec_id=65000, width=64, height=48, frame_rate=Fraction(25), config=b"\x08")
    for name, value in changes.items():
        object.__setattr__(header, name, value)
    return header


def test_toy_header_is_the_one_in_the_stream(toy_stream: Path) -> None:
    packed = write_header(toy_header())
    stored = toy_stream.read_bytes()[: len(packed)]
    assert zlib.crc32(stored[:-4]) == int.from_bytes(stored[-4:], "little")


def test_unknown_codec(nvc: Run, out: Path) -> None:
    decode_refused(nvc, out, one_frame_stream(toy_header(codec_id=65123)), UNSUPPORTED, "65123")


def test_unknown_model(nvc: Run, out: Path) -> None:
    config = bytes([SYNTAX_VERSION, 0])
    header = StreamHeader(codec_id=1, width=64, height=48, model_name="nobody", model_sha256=bytes(32), config=config)
    decode_refused(nvc, out, one_frame_stream(header), UNSUPPORTED, "nobody")


def test_picture_of_100000_by_100000(nvc: Run, out: Path) -> None:
    packed = write_header(toy_header(width=100_000, height=100_000))
    decode_refused(nvc, out, packed, UNSUPPORTED, "100000x100000")
    refused(nvc("info", out.parent / "broken.nvc"), UNSUPPORTED, "100000x100000")


def test_index_that_claims_a_billion_frames(nvc: Run, out: Path) -> None:
    writer = StreamWriter(toy_header())
    packed = writer.start() + writer.add(b"x", keyframe=True, pts=[0], durations=[1], planes_crc32=0)
    packed += writer._close_record()
    decode_refused(nvc, out, packed + writer._index.footer(1_000_000_000), DAMAGED, "1000000000")


def test_payload_the_codec_finds_impossible(nvc: Run, out: Path) -> None:
    decode_refused(nvc, out, one_frame_stream(toy_header(), zlib.compress(bytes(99))), DAMAGED, "broken.nvc", "99")


def test_frames_other_than_the_encoder_saw(nvc: Run, out: Path) -> None:
    """Sound records, sound payload, another checksum: --verify says so."""
    payload = zlib.compress(bytes(64 * 48 * 3 // 2))
    (out.parent / "other.nvc").write_bytes(one_frame_stream(toy_header(), payload))
    refused(nvc("decode", out.parent / "other.nvc", "-o", out / "x.y4m", "--verify"), DAMAGED, "checksum")
    assert list(out.iterdir()) == []
    assert nvc("decode", out.parent / "other.nvc", "-o", out / "x.y4m").returncode == 0


def one_frame_stream(header: StreamHeader, payload: bytes = b"no codec made this") -> bytes:
    writer = StreamWriter(header)
    packed = writer.start() + writer.add(payload, keyframe=True, pts=[0], durations=[1], planes_crc32=0)
    return packed + writer.finish()


def test_frames_beyond_the_end(nvc: Run, out: Path, toy_stream: Path) -> None:
    refused(nvc("decode", toy_stream, "-o", out / "x.y4m", "--frames", "100:"), USAGE, "100", "there are 5")
    assert list(out.iterdir()) == []


def test_decode_needs_somewhere_to_go(nvc: Run, toy_stream: Path) -> None:
    refused(nvc("decode", toy_stream), USAGE, "-o")


def test_random_bytes_as_a_stream(nvc: Run, out: Path) -> None:
    decode_refused(nvc, out, random.Random(3).randbytes(5000), DAMAGED)
    decode_refused(nvc, out, b"\xf5NVC\x01" + random.Random(4).randbytes(5000), DAMAGED)


def test_message_stays_one_line_whatever_the_name(nvc: Run, out: Path) -> None:
    done = nvc("info", out / "two\nlines \x1b[31m.nvc")
    refused(done, FAILURE, "no such file")
    assert "\x1b" not in done.stderr


def test_traceback_only_when_asked_for(nvc: Run, out: Path) -> None:
    done = nvc("info", out / "absent.nvc", "--traceback")
    assert done.returncode == FAILURE
    assert "Traceback" in done.stderr
