# SPDX-License-Identifier: Apache-2.0
"""Our metrics give the numbers that ffmpeg's filters and published code give on the same files."""

import re
import subprocess
from fractions import Fraction

import numpy as np
import pytest

from nvcodec.errors import NvcError, UsageError
from nvcodec.metrics import PSNR_CAP_DB, mse, psnr_db
from nvcodec.metrics.measure import measure_all
from nvcodec.metrics.ms_ssim import ms_ssim_plane, scale_count
from nvcodec.metrics.rgb import describe_matrix, rgb_from_planes
from nvcodec.metrics.ssim import ssim_plane
from nvcodec.metrics.strred import removed_numpy_names, strred
from nvcodec.rd.ffmpeg import find_ffmpeg
from nvcodec.rd.planes import PlanarVideo, y4m_header

SIZE = (130, 98)  # not a multiple of a block or a window


def ffmpeg(*arguments):
    done = subprocess.run(
        [find_ffmpeg().path, "-hide_banner", "-nostdin", "-y", *map(str, arguments)], capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stderr.decode()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """An original and what x264 makes of it, both y4m."""
    folder = tmp_path_factory.mktemp("pair")
    original, stream, decoded = folder / "a.y4m", folder / "a.h264", folder / "b.y4m"
    source = f"testsrc2=s={SIZE[0]}x{SIZE[1]}:r=25"
    ffmpeg("-f", "lavfi", "-i", source, "-frames:v", 6, "-vf", "noise=alls=8", "-pix_fmt", "yuv420p", original)
    ffmpeg("-i", original, "-c:v", "libx264", "-crf", 30, "-f", "h264", stream)
    ffmpeg("-i", stream, "-fps_mode", "passthrough", decoded)
    return original, decoded


@pytest.fixture(scope="module")
def scores(pair):
    return measure_all(*pair, ["psnr", "psnr_rgb", "ssim", "ms_ssim", "vmaf", "xpsnr"], frame_rate=Fraction(25))


def filter_values(pair, name, key):
    """Per-frame values of one of ffmpeg's filters, six decimals."""
    graph = f"[0:v][1:v]{name},metadata=print:key=lavfi.{key}"
    log = ffmpeg("-i", pair[1], "-i", pair[0], "-filter_complex", graph, "-f", "null", "-")
    return [float(v) for v in re.findall(rf"lavfi\.{re.escape(key)}=([\d.]+)", log)], log


@pytest.mark.parametrize("plane", ["y", "u", "v"])
def test_psnr_equals_ffmpegs_filter(pair, scores, plane):
    per_frame, log = filter_values(pair, "psnr", f"psnr.psnr.{plane}")
    assert len(per_frame) == 6
    assert scores.series[f"psnr_{plane}"] == pytest.approx(per_frame, abs=0.001)
    assert scores.metrics[f"psnr_{plane}"] == pytest.approx(np.mean(per_frame), abs=0.001)
    over_clip = float(re.search(rf"PSNR .*\b{plane}:([\d.]+)", log).group(1))
    assert scores.metrics[f"psnr_{plane}_mse"] == pytest.approx(over_clip, abs=0.001)


def test_ssim_equals_ffmpegs_filter(pair, scores):
    luma, log = filter_values(pair, "ssim", "ssim.Y")
    assert scores.series["ssim_y"] == pytest.approx(luma, abs=0.001)
    assert scores.metrics["ssim"] == pytest.approx(float(re.search(r"All:([\d.]+)", log).group(1)), abs=0.001)


def test_vmaf_and_xpsnr_equal_the_filters_own_logs(pair, scores):
    log = ffmpeg("-i", pair[1], "-i", pair[0], "-filter_complex", "[0:v][1:v]libvmaf", "-f", "null", "-")
    assert scores.metrics["vmaf"] == pytest.approx(float(re.search(r"VMAF score: ([\d.]+)", log).group(1)), abs=0.001)
    assert "vmaf_v0.6.1" in scores.models["vmaf"]
    log = ffmpeg("-i", pair[1], "-i", pair[0], "-filter_complex", "[0:v][1:v]xpsnr", "-f", "null", "-")
    assert scores.metrics["xpsnr_y"] == pytest.approx(float(re.search(r" y: ([\d.]+)", log).group(1)), abs=0.001)
    assert len(scores.series["xpsnr"]) == len(scores.series["vmaf"]) == 6


def test_both_poolings_of_psnr_yuv(scores):
    m = scores.metrics
    assert m["psnr_yuv"] == pytest.approx((6 * m["psnr_y"] + m["psnr_u"] + m["psnr_v"]) / 8)
    assert m["psnr_yuv_mse"] == pytest.approx((6 * m["psnr_y_mse"] + m["psnr_u_mse"] + m["psnr_v_mse"]) / 8)
    assert m["psnr_yuv_mse"] <= m["psnr_yuv"]  # Jensen


def test_ms_ssim_agrees_with_pytorch_msssim():
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("pytorch_msssim")
    random = np.random.default_rng(1)
    a = np.kron(random.integers(0, 256, (24, 22)), np.ones((8, 8))).astype(np.uint8)
    b = np.clip(a + random.normal(0, 12, a.shape), 0, 255).astype(np.uint8)
    tensors = [torch.from_numpy(x[None, None].astype(np.float32)) for x in (a, b)]
    assert scale_count(*a.shape) == 5
    assert ms_ssim_plane(a, b) == pytest.approx(library.ms_ssim(*tensors, data_range=255).item(), abs=1e-4)


def test_identical_frames_are_stated_as_the_cap(pair):
    same = measure_all(pair[0], pair[0], ["psnr", "psnr_rgb", "ssim", "ms_ssim", "xpsnr"])
    for name in ("psnr_y", "psnr_yuv", "psnr_yuv_mse", "psnr_rgb", "xpsnr"):
        assert same.metrics[name] == PSNR_CAP_DB
    assert same.metrics["ssim"] == pytest.approx(1.0)
    assert same.metrics["ms_ssim"] == pytest.approx(1.0)
    assert psnr_db(1e-30) == PSNR_CAP_DB


def test_pictures_smaller_than_a_window():
    a, b = np.full((3, 2), 90, np.uint8), np.full((3, 2), 94, np.uint8)
    assert mse(a, b) == 16
    assert 0 < ssim_plane(a, b) < 1
    assert 0 < ms_ssim_plane(a, b) <= 1
    assert scale_count(3, 2) == 0


def test_rgb_goes_through_the_streams_own_matrix():
    y, u, v = (np.full(s, x, np.uint8) for s, x in (((4, 6), 81), ((2, 3), 90), ((2, 3), 240)))
    assert np.abs(rgb_from_planes(y, u, v, matrix=6)[0, 0].astype(int) - [255, 0, 0]).max() <= 1  # red in BT.601
    y, u, v = (np.full(s, x, np.uint8) for s, x in (((4, 6), 63), ((2, 3), 102), ((2, 3), 240)))
    assert np.abs(rgb_from_planes(y, u, v, matrix=1)[0, 0].astype(int) - [255, 0, 0]).max() <= 1  # red in BT.709
    grey = rgb_from_planes(np.full((3, 3), 77, np.uint8), *[np.full((2, 2), 128, np.uint8)] * 2, full_range=True)
    assert (grey == 77).all()
    assert "BT.601" in describe_matrix(2, False, 480)
    assert "BT.709" in describe_matrix(2, False, 720)


def test_strred_orders_and_leaves_numpy_alone():
    random = np.random.default_rng(2)
    a = np.repeat(np.repeat(random.integers(0, 256, (4, 24, 24)), 4, 1), 4, 2).astype(np.uint8)
    a = np.stack([np.roll(f, 2 * i, 1) for i, f in enumerate([a[0]] * 4)])
    noise = random.normal(0, 1, a.shape)
    little, much = (np.clip(a + s * noise, 0, 255).astype(np.uint8) for s in (4, 25))
    before = set(vars(np))
    assert strred(a, a) == 0
    assert 0 < strred(a, little) < strred(a, much)
    assert {"float", "int", "complex"}.isdisjoint(set(vars(np)) - before)
    with pytest.raises(NvcError, match="at least"):
        strred(a[:1], a[:1])


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_strred_of_pairs_is_that_of_the_whole():
    random = np.random.default_rng(3)
    a = np.repeat(np.repeat(random.integers(0, 256, (5, 12, 12)), 8, 1), 8, 2).astype(np.uint8)
    b = np.clip(a + random.normal(0, 9, a.shape), 0, 255).astype(np.uint8)
    with removed_numpy_names():
        from skvideo.measure.strred import strred as whole

        _, expected, _ = whole(a, b)
    assert strred(a, b) == pytest.approx(expected, rel=1e-5)


def test_wrong_names_sizes_and_counts_are_refused(pair, tmp_path):
    with pytest.raises(UsageError, match="'psnrr' does not exist"):
        measure_all(*pair, ["psnrr"])
    empty, other = tmp_path / "empty.y4m", tmp_path / "other.y4m"
    empty.write_bytes(y4m_header(*SIZE, Fraction(25), False))
    other.write_bytes(y4m_header(16, 16, Fraction(25), False) + b"FRAME\n" + bytes(384))
    with pytest.raises(NvcError, match="0 frames were decoded"):
        measure_all(pair[0], empty, ["psnr"])
    with pytest.raises(NvcError, match="no frames"):
        measure_all(empty, empty, ["psnr"])
    with pytest.raises(NvcError, match="16x16"):
        measure_all(pair[0], other, ["psnr"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RIFF", "not a y4m"),
        (b"YUV4MPEG2 W16 H16 C444\n", "4:2:0 is needed"),
        (b"YUV4MPEG2 W16 H16 C420p10\n", "4:2:0 is needed"),
        (b"YUV4MPEG2 W99999999 H16\n", "sides of 1"),
        (b"YUV4MPEG2 W16 H16\nFRAME\n" + bytes(383), "ends inside frame 0"),
        (b"YUV4MPEG2 W16 H16\nFRAME\n" + bytes(384) + b"junk", "no frame marker"),
    ],
)
def test_damaged_y4m_is_refused(tmp_path, content, message):
    path = tmp_path / "x.y4m"
    path.write_bytes(content)
    with pytest.raises(NvcError, match=message):
        PlanarVideo(path)
