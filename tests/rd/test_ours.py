# SPDX-License-Identifier: Apache-2.0
"""A third party's codec is measured like our own: by its files, through the command line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nvcodec.codec.conditional import SIZES
from nvcodec.errors import UsageError
from nvcodec.rd.ffmpeg import find_ffmpeg
from nvcodec.rd.ours import code_digest, our_codec
from nvcodec.rd.schema import Conditions
from nvcodec.rd.store import ResultsFolder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """The toy codec as an installed distribution with an entry point, on a path of its own."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "scripts" / "toy_codec.py", folder)
    about = folder / "toy_codec-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-codec\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[nvcodec.codecs]\ntoy = toy_codec:ToyCodec\n")
    return folder


def nvc_rd(plugin, *arguments):
    path = os.pathsep.join([str(plugin), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "nvcodec", "rd", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, timeout=300)


def test_a_third_partys_codec_is_measured_from_its_files(plugin, tmp_path):
    clip = tmp_path / "clip.y4m"
    source = ["-f", "lavfi", "-i", "testsrc2=s=65x49:r=25", "-frames:v", "5", "-pix_fmt", "yuv420p"]
    subprocess.run([find_ffmpeg().path, "-v", "error", *source, str(clip)], check=True)
    arguments = (clip, "--codec", "ours:toy", "--quality", "ours=0,63", "--metrics", "psnr", "-o", tmp_path / "r")
    done = nvc_rd(plugin, *arguments)
    assert done.returncode == 0, done.stderr
    (curve,) = ResultsFolder.open(tmp_path / "r").curves()
    assert [p.quality.value for p in curve.points] == [0, 63]
    assert curve.values("psnr_y")[-1] == 100  # its best quality keeps every bit: stated as the cap
    assert curve.codec.weights_sha256 is None
    point = curve.points[0]
    assert point.commands["encode"][:4] == ["python", "-m", "nvcodec", "encode"]
    assert len(point.rate.frame_nbytes) == 5
    assert 0 < sum(point.rate.frame_nbytes) < point.rate.nbytes
    assert "0 points measured, 2 there already" in nvc_rd(plugin, *arguments).stdout

    # Another version of the codec is another codec: nothing of it may be skipped or mixed in.
    module = plugin / "toy_codec.py"
    module.write_text(module.read_text() + "\n# changed\n")
    assert "2 points measured, 0 there already" in nvc_rd(plugin, *arguments).stdout
    labels = {c.label for c in ResultsFolder.open(tmp_path / "r").curves()}
    assert len(labels) == 2


@pytest.mark.parametrize("name", ["ours", "ours:", "ours:toy:a:b", "ours:toy@"])
def test_names_are_checked(name):
    with pytest.raises(UsageError, match="write ours:NAME"):
        our_codec(name, Conditions())


def test_an_unknown_codec_is_named():
    with pytest.raises(UsageError, match="'nothing' is not known"):
        our_codec("ours:nothing", Conditions())


def test_sizes_of_decoders_are_models_of_the_same_weights():
    """Streams of each are asked for by name; decoding needs no name."""
    default = our_codec("ours:conditional:ra", Conditions()).make(32)
    assert "--model" not in default.encode
    for size in SIZES:
        trial = our_codec(f"ours:conditional@{size}:ra", Conditions()).make(32)
        at = trial.encode.index("--model")
        assert trial.encode[at + 1] == size
        assert trial.encode[:at] + trial.encode[at + 2 :] == default.encode
        assert trial.decode == default.decode
        assert trial.codec.weights_sha256 == default.codec.weights_sha256
    with pytest.raises(UsageError, match="'conditional' has no model 'xl'"):
        our_codec("ours:conditional@xl:ra", Conditions())


def test_the_digest_follows_the_sources(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("x = 1\n")
    first = code_digest(["nvcodec.stream", "nvcodec.no_such_package"], [file])
    assert first == code_digest(["nvcodec.stream"], [file])
    file.write_text("x = 2\n")
    assert first != code_digest(["nvcodec.stream"], [file])


def test_the_digest_does_not_follow_the_folders(tmp_path):
    """Files of one name are in another order where their folders are called otherwise."""
    found = set()
    for one, other in (("a", "b"), ("b", "a")):
        files = []
        for name, text in ((one, "x = 1\n"), (other, "x = 2\n")):
            folder = tmp_path / f"{one}{other}" / name
            folder.mkdir(parents=True)
            files.append(folder / "same.py")
            files[-1].write_text(text)
        found.add(code_digest([], files))
    assert len(found) == 1
