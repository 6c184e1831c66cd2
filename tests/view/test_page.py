"""The page in a real browser: it loads nothing, draws all notes, plays, seeks, loops, is usable."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from perceiver_music.music.performance import Performance
from perceiver_music.view import page as page_module
from perceiver_music.view.page import as_page
from perceiver_music.view.roll import Roll

if TYPE_CHECKING:
    from tests.view.conftest import Browser

SECOND = 1_000_000
SIZES = [(390, 844), (844, 390), (1280, 800), (1920, 1080)]


def tone(seconds: float = 12.0) -> bytes:
    rate = 32_000
    moment = np.arange(int(seconds * rate)) / rate
    stream = io.BytesIO()
    stereo = np.repeat(0.1 * np.sin(2 * np.pi * 440 * moment)[:, None], 2, axis=1)
    soundfile.write(stream, stereo, rate, format="MP3", subtype="MPEG_LAYER_III")
    return stream.getvalue()


@pytest.fixture(scope="module")
def page(performance: Performance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    roll = Roll.of(
        performance, title="</script><b>x", facts=("48 notes",), new_us=(6 * SECOND, None)
    )
    path = tmp_path_factory.mktemp("pages") / "a page.html"
    path.write_bytes(as_page(roll, sound=tone()))
    return path


@pytest.fixture
def shown(browser: Browser, page: Path) -> Iterator[Browser]:
    browser.open(page)
    browser.wait_for("window.pianoRoll")
    yield browser
    browser.run("window.pianoRoll.player.pause()")


def js(browser: Browser, expression: str) -> Any:
    return browser.run(f"return {expression}")


def test_it_names_no_address() -> None:
    """Nothing in the text asks the network for anything."""
    roll = Roll.of(Performance(notes=_one_note()), title="x")
    text = as_page(roll, sound=None).decode()
    addresses = set(re.findall(r"\b(?:https?|ftp|wss?)://[^\s'\"<)]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert "{{" not in text.replace("${", "")
    music = json.loads(re.search(r'id="music">(.*?)</script>', text)[1])  # type: ignore[index]
    assert (music["pitch"], music["new"], music["gap"]) == ([60], [], [1000])


def _one_note() -> np.ndarray:
    from perceiver_music.music.performance import note_array

    return note_array([SECOND], [2 * SECOND], [60], [64])


def test_it_loads_nothing_from_outside(browser: Browser, page: Path) -> None:
    browser.log("performance")
    browser.open(page)
    browser.wait_for("window.pianoRoll")
    browser.run("document.getElementById('play').click()")
    browser.wait_for("pianoRoll.player.isPlaying")
    messages = [json.loads(row["message"])["message"] for row in browser.log("performance")]
    # By the page, that is: a browser that has just started still loads a page of its own.
    asked = {
        message["params"]["request"]["url"].partition(":")[0]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
        and message["params"]["documentURL"].startswith("file:")
    }
    assert "file" in asked
    assert asked <= {"file", "blob", "data"}
    assert [row["message"] for row in browser.log("browser") if row["level"] == "SEVERE"] == []
    browser.run("pianoRoll.player.pause()")


def test_one_box_a_note(shown: Browser) -> None:
    assert js(shown, "document.querySelectorAll('rect.note').length") == 48
    assert js(shown, "document.querySelectorAll('rect.note[class*=\" n\"]').length") == 24
    shown.run("for (let i = 0; i < 12; i++) pianoRoll.zoom(0.7)")
    assert js(shown, "pianoRoll.boxes") == 48
    assert js(shown, "document.getElementById('roll').dataset.boxes") == "48"
    shown.run("for (let i = 0; i < 6; i++) pianoRoll.zoom(1.5)")
    assert 0 < js(shown, "pianoRoll.boxes") < 48
    assert js(shown, "document.querySelector('h1').textContent") == "</script><b>x"


def test_it_plays_and_pauses(shown: Browser) -> None:
    shown.press(" ")
    shown.wait_for("pianoRoll.player.time > 0.3")
    assert js(shown, "document.getElementById('play').getAttribute('aria-label')") == "Pause"
    assert "Playing" in js(shown, "document.getElementById('live').textContent")
    shown.press("k")
    shown.wait_for("!pianoRoll.player.isPlaying")
    # The page hears of the pause a moment later.
    shown.wait_for("document.getElementById('live').textContent.includes('Paused')")
    moment = js(shown, "pianoRoll.player.time")
    assert js(shown, "pianoRoll.player.time") == moment


def test_it_seeks_by_keys_buttons_and_pointer(shown: Browser) -> None:
    right, left = "\ue014", "\ue012"
    shown.press(right)
    shown.wait_for("Math.abs(pianoRoll.player.time - 5) < 0.01")
    shown.press(left)
    shown.wait_for("pianoRoll.player.time === 0")
    shown.press("n")
    shown.wait_for("Math.abs(pianoRoll.player.time - 6) < 0.01")
    assert js(shown, "document.getElementById('now').textContent") == "0:06"
    slider = "document.getElementById('overview')"
    assert js(shown, f"{slider}.getAttribute('aria-valuetext')") == "0:06 of 0:12, new music"
    shown.click("#back")
    shown.wait_for("Math.abs(pianoRoll.player.time - 1) < 0.01")
    shown.click("#overview")  # in its middle
    shown.wait_for("Math.abs(pianoRoll.player.time - 6) < 0.1")
    shown.run(f"{slider}.focus()")
    shown.press("\ue011")  # Home
    shown.wait_for("pianoRoll.player.time === 0")


def test_tempo_keeps_the_pitch(shown: Browser) -> None:
    shown.press("<<")
    assert js(shown, "pianoRoll.player.rate") == 0.9
    assert js(shown, "document.getElementById('tempo-value').textContent") == "90%"
    assert js(shown, "new Audio().preservesPitch") is True
    shown.run(
        "const t = document.getElementById('tempo'); t.value = 150;"
        "t.dispatchEvent(new Event('input'))"
    )
    assert js(shown, "pianoRoll.player.rate") == 1.5


def test_a_loop_goes_round(shown: Browser) -> None:
    shown.run("pianoRoll.seek(2)")
    shown.press("[")
    shown.run("pianoRoll.seek(2.6)")
    shown.press("]")
    assert "Loop from 0:02" in js(shown, "document.getElementById('live').textContent")
    shown.run(
        "window.turns = 0; let last = 0; pianoRoll.seek(2);"
        "setInterval(() => { const t = pianoRoll.player.time;"
        "if (t < last) turns++; last = t; }, 15)"
    )
    shown.press("k")
    shown.wait_for("turns >= 2")
    shown.press("l")
    assert js(shown, "document.getElementById('loop').getAttribute('aria-pressed')") == "false"
    shown.wait_for("pianoRoll.player.time > 3.3")


def test_the_primer_can_be_muted(shown: Browser) -> None:
    shown.run(
        "window.muted = []; Object.defineProperty(HTMLMediaElement.prototype, 'muted', "
        "{ set(value) { this._m = value; muted.push(value); }, get() { return !!this._m; },"
        "configurable: true })"
    )
    shown.press("m")
    assert js(shown, "muted.at(-1)") is True
    shown.press("n")
    assert js(shown, "muted.at(-1)") is False
    shown.run("pianoRoll.seek(1)")
    assert js(shown, "muted.at(-1)") is True
    shown.press("m")
    assert js(shown, "muted.at(-1)") is False


def test_a_duet_goes_from_answer_to_answer(browser: Browser, duet: Roll, tmp_path: Path) -> None:
    path = tmp_path / "duet.html"
    path.write_bytes(as_page(duet, sound=None))
    browser.open(path)
    browser.wait_for("window.pianoRoll")
    assert js(browser, "document.body.dataset.part") == "both"
    assert js(browser, "document.querySelectorAll('rect.note[class*=\" n\"]').length") == 16
    legend = js(browser, "document.querySelector('.legend').textContent")
    assert legend.startswith("playeranswers")
    assert js(browser, "document.getElementById('mute-primer').textContent") == "Mute player"
    assert [(first, last) for *_, first, last in seams(browser)] == [(True, True)] * 2
    slider = "document.getElementById('overview')"
    for moment, who in ((3, "answers"), (9, "answers"), (3, "answers")):
        browser.press("n")
        browser.wait_for(f"Math.abs(pianoRoll.player.time - {moment}) < 0.01")
        assert js(browser, f"{slider}.getAttribute('aria-valuetext')").endswith(f", {who}")
    browser.run("pianoRoll.seek(6)")
    assert js(browser, f"{slider}.getAttribute('aria-valuetext')") == "0:06 of 0:12, player"
    browser.press("m")
    assert js(browser, "document.getElementById('live').textContent") == "Player muted"
    assert [row["message"] for row in browser.log("browser") if row["level"] == "SEVERE"] == []


def test_a_filled_gap_is_named_and_marked(
    browser: Browser, performance: Performance, tmp_path: Path
) -> None:
    """What is around it is no primer: it is as it was; the overview shows both ends of the gap."""
    path = tmp_path / "gap.html"
    roll = Roll.of(performance, title="x", new_us=(3 * SECOND, 6 * SECOND))
    path.write_bytes(as_page(roll, sound=None))
    browser.open(path)
    browser.wait_for("window.pianoRoll")
    assert "primer" not in js(browser, "document.body.innerText").lower()
    legend = js(browser, "document.querySelector('.legend').textContent")
    assert legend.startswith("as it wasnew music")
    assert js(browser, "document.getElementById('mute-primer').title") == "Mute the rest (M)"
    browser.press("m")
    assert js(browser, "document.getElementById('live').textContent") == "Rest muted"
    browser.run("pianoRoll.seek(1)")
    slider = "document.getElementById('overview')"
    assert js(browser, f"{slider}.getAttribute('aria-valuetext')") == "0:01 of 0:12, as it was"
    assert seams(browser) == [(0.25, 0.5, True, True)]


def seams(browser: Browser) -> list[tuple[float, float, bool, bool]]:
    """Of each stretch of new music in the overview both ends, and whether each has a line."""
    found = js(
        browser,
        "[...document.querySelectorAll('.seam:not([hidden])')].map(seam => {"
        "const all = document.getElementById('overview').getBoundingClientRect();"
        "const box = seam.getBoundingClientRect(), style = getComputedStyle(seam);"
        "return [(box.left - all.left) / all.width, (box.right - all.left) / all.width,"
        "style.borderLeftStyle !== 'none', style.borderRightStyle !== 'none']})",
    )
    return [(round(begin, 2), round(end, 2), first, last) for begin, end, first, last in found]


def test_music_that_is_new_to_its_end_has_one_line(shown: Browser) -> None:
    assert seams(shown) == [(0.5, 1.0, True, False)]


def test_controls_have_names_and_an_order(shown: Browser) -> None:
    names = js(
        shown,
        "[...document.querySelectorAll('button, input, summary, [role=slider]')].map("
        "e => (e.getAttribute('aria-label') || e.textContent).trim())",
    )
    assert all(names)
    assert names.index("Position in the music") < names.index("Play") < names.index("Tempo")
    assert "Piano roll of" in js(shown, "document.getElementById('roll').ariaLabel")
    assert js(shown, "document.querySelector('[role=status]').ariaLive") == "polite"
    shown.press("\ue004")  # Tab
    assert js(shown, "document.activeElement.className") == "skip"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(shown: Browser, scheme: str) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    shown.devtools(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    first = js(shown, ground)
    bright = int(re.findall(r"\d+", first)[0]) > 128
    assert bright is (scheme == "light")
    shown.press("d")
    assert js(shown, ground) != first
    shown.devtools("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_fits_every_screen(shown: Browser, width: int, height: int) -> None:
    shown.devtools(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=2,
        mobile=width < 900,
    )
    shown.wait_for(f"innerWidth === {width}")
    assert js(shown, "document.documentElement.scrollWidth") <= width
    box = js(shown, "document.getElementById('play').getBoundingClientRect().toJSON()")
    assert box["top"] >= 0
    assert box["bottom"] <= height
    assert box["width"] >= 44
    shown.wait_for("pianoRoll.view.width <= innerWidth && pianoRoll.boxes > 0")
    assert len(shown.screenshot()) > 10_000
    shown.devtools("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("width", [360, 420, 1024])
def test_names_of_octaves_stand_beside_the_black_keys(shown: Browser, width: int) -> None:
    shown.devtools(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=800,
        deviceScaleFactor=1,
        mobile=False,
    )
    shown.wait_for(f"innerWidth === {width} && pianoRoll.view.width < innerWidth")
    # Of a column of dots through the keyboard, those that are as dark as a black key.
    dark = (
        "const pen = document.getElementById('roll').getContext('2d');"
        "const { keys, ruler, height } = pianoRoll.view, columns = [];"
        "for (let x = 0; x < keys - 1; x++) {"
        "const dots = pen.getImageData(x, ruler, 1, height - ruler - 22).data; let count = 0;"
        "for (let i = 0; i < dots.length; i += 4) if (dots[i] < 160) count++;"
        "columns.push(count); }"
        "return columns"
    )
    columns = shown.run(dark)
    black = round(js(shown, "pianoRoll.view.black"))
    assert black > 10
    assert min(columns[: black - 1]) > 30
    assert columns[black + 1] == 0  # between the keys and the names
    assert max(columns[black + 2 :]) > 5
    shown.devtools("Emulation.clearDeviceMetricsOverride")


def test_reduced_motion_turns_pages(shown: Browser) -> None:
    shown.devtools(
        "Emulation.setEmulatedMedia",
        features=[{"name": "prefers-reduced-motion", "value": "reduce"}],
    )
    shown.run("for (let i = 0; i < 4; i++) pianoRoll.zoom(1.8); pianoRoll.seek(0)")
    left = js(shown, "pianoRoll.view.left")
    shown.run("pianoRoll.seek(0.4)")
    assert js(shown, "pianoRoll.view.left") == left
    shown.run("pianoRoll.seek(9)")
    assert js(shown, "pianoRoll.view.left") > left
    shown.devtools("Emulation.setEmulatedMedia", features=[])


def test_without_sound_it_plays_silently(
    browser: Browser, performance: Performance, tmp_path: Path
) -> None:
    path = tmp_path / "silent.html"
    path.write_bytes(as_page(Roll.of(performance, title="x"), sound=None))
    browser.open(path)
    browser.wait_for("window.pianoRoll")
    assert "silently" in js(browser, "document.getElementById('sound-note').textContent")
    assert js(browser, "getComputedStyle(document.getElementById('mute-primer')).display") == "none"
    browser.press("k")
    browser.wait_for("pianoRoll.player.time > 0.2")
    browser.run("pianoRoll.seek(11.9)")
    browser.wait_for("!pianoRoll.player.isPlaying")
    browser.press("k")
    browser.wait_for("pianoRoll.player.isPlaying && pianoRoll.player.time < 5")
    browser.press("k")


def test_every_class_of_the_page_means_something() -> None:
    folder = Path(page_module.__file__).parent
    html = (folder / "page.html").read_text(encoding="utf-8")
    used = {name for names in re.findall(r'class="([^"{]+)"', html) for name in names.split()}
    css, *scripts = (
        (folder / name).read_text(encoding="utf-8")
        for name in ("page.css", "page_roll.js", "page_player.js")
    )
    styled = set(re.findall(r"\.([a-zA-Z][\w-]*)", css))
    asked_for = {name for name in used if any(f".{name}" in script for script in scripts)}
    assert used - styled - asked_for == set()
