# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser: opens offline, answers mouse and keyboard. Skipped only where there is no Chromium."""

import json
from pathlib import Path

import pytest
from chromium import Browser, find_chromium
from synthetic_results import make_results

from nvcodec.rd.report import write_report
from nvcodec.rd.report.model import gather
from nvcodec.rd.schema import Failure
from nvcodec.rd.store import ResultsFolder

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on PATH nor in $CHROMIUM (Debian: apt-get install chromium)"
)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    make_results(folder / "r", pictures=True)
    hostile = Failure(
        "beta", "</script><script>document.title='broken'</script>", "crf 1", "<img src=x onerror=alert(1)>"
    )
    ResultsFolder.open(folder / "r").write_failures([hostile])
    write_report(gather(folder / "r"), folder, parts=("page",))
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    assert CHROMIUM is not None
    with Browser(CHROMIUM) as opened:
        yield opened


@pytest.fixture
def page(browser, page_file):
    browser.requests.clear()
    browser.console.clear()
    browser.open(page_file)
    yield browser
    assert browser.console == []


def viewer(page) -> dict[str, str]:
    return page.value("({...document.getElementById('viewer').dataset})")


def cuts(page) -> list[float]:
    return [float(c) for c in viewer(page)["cuts"].split()]


def cell(page, codec: str, anchor: str) -> str:
    selector = f'#matrix td[data-codec="{codec}"][data-anchor="{anchor}"]'
    return page.value(f"document.querySelector({json.dumps(selector)}).textContent")


def test_it_needs_nothing_from_outside(page, page_file):
    outside = [url for url in page.requests if not url.startswith(("data:", page_file.resolve().as_uri()))]
    assert outside == []
    text = page_file.read_text()
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert page.value("document.title") == "Rate and distortion: default"


def test_hostile_text_stays_text(page):
    assert page.value("document.querySelectorAll('#failures img, #failures script').length") == 0
    assert "onerror=alert(1)" in page.value("document.getElementById('failures').textContent")


def test_curves_and_matrix_are_drawn(page):
    assert page.value("document.querySelectorAll('#curves path.line').length") == 4
    assert page.value("document.querySelectorAll('#curves circle.mark').length") == 20
    assert page.value("document.querySelectorAll('#speed circle.mark').length") == 4
    assert cell(page, "ours:conditional", "x265:medium:ld") == "-20.0"
    assert cell(page, "x264:medium:ld", "ours:conditional") == "+56.3"


def test_any_codec_can_become_the_anchor(page):
    assert page.value("document.querySelectorAll('#detail tbody tr').length") == 3
    page.click("#matrix thead th:nth-child(3) button")
    assert page.value("document.getElementById('anchor').value") == "x264:medium:ld"
    assert "against x264:medium:ld" in page.value("document.getElementById('detail-title').textContent")
    value = page.value("document.querySelector('#detail td[data-codec=\"ours:conditional\"]').dataset.value")
    assert float(value) == pytest.approx(-36.0, abs=0.01)


def test_metric_can_be_switched(page):
    first = page.value("[...document.querySelectorAll('#curves circle.mark')].map(c => Number(c.dataset.y))")
    assert sorted(set(first)) == [30, 33, 36, 39, 42]
    page.choose("#metric", "SSIM")
    assert page.value("document.getElementById('metric').value") == "ssim"
    second = page.value("[...document.querySelectorAll('#curves circle.mark')].map(c => Number(c.dataset.y))")
    assert len(second) == 20
    assert all(0.9 < v < 1 for v in second)
    assert "SSIM" in page.value("document.querySelector('#curves').textContent")
    assert "SSIM" in page.value("document.getElementById('matrix-note').textContent")


def test_rate_axis_can_be_switched(page):
    path = "document.querySelector('#curves path.line').getAttribute('d')"
    linear = page.value(path)
    page.click("#log")
    logarithmic = page.value(path)
    assert logarithmic != linear
    page.choose("#rate", "kbit")
    assert "kbit/s" in page.value("document.querySelector('#curves').textContent")
    page.choose("#scope", "beta")
    assert page.value("document.getElementById('scope').value") == "clip/beta"
    assert page.value("document.querySelectorAll('#curves circle.mark').length") == 20


def test_curves_zoom_move_and_reset(page):
    view = "document.getElementById('curves').dataset.view.split(' ').map(Number)"
    whole = page.value(view)
    x, y = page.centre("#curves")
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-200)
    page.wait(f"{view}[0] !== {whole[0]}")
    closer = page.value(view)
    assert closer[1] - closer[0] < (whole[1] - whole[0]) * 0.7
    page.drag((x, y), (60, 0))
    moved = page.value(view)
    assert moved[0] < closer[0]
    assert moved[1] - moved[0] == pytest.approx(closer[1] - closer[0], rel=1e-3)
    for count in (1, 2):
        page.mouse("mousePressed", x, y, button="left", clickCount=count)
        page.mouse("mouseReleased", x, y, button="left", clickCount=count)
    assert page.value(view) == whole


def test_hovering_tells_the_point_and_a_click_its_command(page):
    page.choose("#scope", "alpha")
    x, y = page.centre("#curves circle.mark:nth-of-type(3)")
    page.mouse("mouseMoved", x, y)
    page.wait("!document.getElementById('tip').hidden")
    assert "36.00" in page.value("document.getElementById('tip').textContent")
    page.click("#curves circle.mark:nth-of-type(3)")
    assert "encoder --crf 2 {source}" in page.value("document.getElementById('command').textContent")
    assert page.value("document.getElementById('frame-point').value").endswith("/2")


def test_legend_hides_a_codec(page):
    page.click("#legend button[data-label='x264:medium:ld']")
    assert page.value("document.querySelectorAll('#curves path.line').length") == 3
    page.click("#legend button[data-label='x264:medium:ld']")
    assert page.value("document.querySelectorAll('#curves path.line').length") == 4


def test_frames_are_drawn_for_quality_and_size(page):
    assert page.value("document.querySelectorAll('#frame-quality path.line').length") == 4
    assert page.value("document.querySelectorAll('#frame-size path.line').length") == 4
    before = page.value("document.querySelector('#frame-quality path.line').getAttribute('d')")
    page.choose("#metric", "PSNR-Y")
    page.wait("document.getElementById('metric').value === 'psnr_y'")
    assert before
    assert "PSNR-Y (dB)" in page.value("document.getElementById('frame-quality').textContent")


def test_divider_follows_the_mouse(page):
    before = cuts(page)
    page.drag(page.centre("#divider-1"), (-150, 0))
    after = cuts(page)
    width = page.value("document.getElementById('viewer').clientWidth")
    assert after[0] == pytest.approx(before[0] - 150 / width, abs=0.005)
    assert after[1] == before[1]
    clip_path = page.value("document.getElementById('layer-b').style.clipPath")
    assert f"{after[0] * 100:.3f}"[:4] in clip_path
    page.drag(page.centre("#divider-1"), (2000, 0))
    assert cuts(page)[0] == pytest.approx(cuts(page)[1])  # it stops at the other one


def test_divider_follows_the_keyboard(page):
    before = cuts(page)
    page.value("document.getElementById('divider-2').focus()")
    page.key("ArrowRight")
    page.key("ArrowRight")
    assert cuts(page)[1] == pytest.approx(before[1] + 0.02, abs=1e-3)
    assert viewer(page)["frame"] == "0"


def test_the_three_pictures_are_original_ours_and_an_anchor(page):
    tags = page.value("['a', 'b', 'c'].map(s => document.getElementById('tag-' + s).textContent)")
    assert tags[0] == "original"
    assert tags[1].startswith("ours:conditional")
    assert tags[2].startswith("x265")
    page.wait("[...document.querySelectorAll('.layer img')].every(i => i.complete && i.naturalWidth === 64)")


def test_zoom_keeps_the_point_under_the_mouse(page):
    fitted = viewer(page)
    x, y = page.centre("#viewer")
    box = page.value("(({left, top}) => [left, top])(document.getElementById('viewer').getBoundingClientRect())")
    at_x, at_y = x - box[0] + 100, y - box[1] + 60
    before = [(at_x - float(fitted["x"])) / float(fitted["zoom"]), (at_y - float(fitted["y"])) / float(fitted["zoom"])]
    page.mouse("mouseWheel", x + 100, y + 60, deltaX=0, deltaY=-240)
    page.wait(f"document.getElementById('viewer').dataset.zoom !== '{fitted['zoom']}'")
    now = viewer(page)
    assert float(now["zoom"]) > float(fitted["zoom"])
    after = [(at_x - float(now["x"])) / float(now["zoom"]), (at_y - float(now["y"])) / float(now["zoom"])]
    assert after == pytest.approx(before, abs=0.05)
    page.click("#zoom-fit")
    assert viewer(page)["zoom"] == fitted["zoom"]
    page.click("#zoom-out")
    assert float(viewer(page)["zoom"]) == pytest.approx(float(fitted["zoom"]) / 2, rel=1e-3)


def test_pictures_move_with_the_mouse(page):
    before = viewer(page)
    x, y = page.centre("#viewer")
    page.drag((x, y), (40, -25))
    after = viewer(page)
    assert float(after["x"]) - float(before["x"]) == pytest.approx(40, abs=0.2)
    assert float(after["y"]) - float(before["y"]) == pytest.approx(-25, abs=0.2)
    assert cuts(page) == pytest.approx([1 / 3, 2 / 3], abs=1e-3)


def test_frames_step_by_button_and_key(page):
    source = "document.querySelector('#layer-a img').src.slice(-60)"
    seen = [(viewer(page)["frame"], page.value(source))]
    page.click("#frame-forward")
    seen.append((viewer(page)["frame"], page.value(source)))
    page.value("document.getElementById('viewer').focus()")
    page.key(".", ".")
    seen.append((viewer(page)["frame"], page.value(source)))
    assert [frame for frame, _ in seen] == ["0", "2", "5"]
    assert len({picture for _, picture in seen}) == 3
    page.key(",", ",")
    assert viewer(page)["frame"] == "2"
    assert page.value("document.getElementById('frame-number').value") == "frame 2"


def test_two_pictures_have_one_divider(page):
    page.choose("#view-c", "nothing")
    assert page.value("document.getElementById('divider-2').hidden") is True
    assert page.value("document.getElementById('layer-c').hidden") is True
    page.drag(page.centre("#divider-1"), (400, 0))
    assert cuts(page)[0] > 0.6


def test_a_page_without_pictures_works(browser, tmp_path):
    make_results(tmp_path / "r", clips=("alpha",))
    write_report(gather(tmp_path / "r"), tmp_path, parts=("page",))
    browser.console.clear()
    browser.open(tmp_path / "report.html")
    assert browser.value("document.getElementById('viewer-section').hidden") is True
    assert browser.value("document.querySelectorAll('#curves path.line').length") == 4
    assert browser.console == []
