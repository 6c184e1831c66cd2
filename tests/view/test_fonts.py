"""Which font a title is drawn in, and what becomes of signs that it lacks."""

from __future__ import annotations

import string
import unicodedata
from typing import Any

import pytest
from PIL import ImageFont

from perceiver_music.view import fonts
from perceiver_music.view.fonts import lost_signs, runs_of

TITLE = "月光 ソナタ"


class SmallFont:
    """Stands for a font file that has some signs and no others."""

    def __init__(self, name: str, signs: str) -> None:
        self.name, self._signs = name, signs

    def getmask(self, sign: str) -> bytes:
        return sign.encode() if sign in self._signs else b"box"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The fonts of a system: what each has, and no other; every machine is the same then."""
    signs: dict[str, str] = {}
    real = ImageFont.truetype

    def truetype(name: object, size: float, **options: Any) -> object:
        if not isinstance(name, str):  # Pillow's own font, which it carries as bytes
            return real(name, size, **options)
        if name not in signs:
            raise OSError("cannot open resource")
        return SmallFont(name, signs[name])

    monkeypatch.setattr("PIL.ImageFont.truetype", truetype)
    return signs


def drawn(text: str) -> list[tuple[str, str]]:
    """The name of the font, and what it draws, of each run."""
    return [(getattr(font, "name", "own"), piece) for font, piece in runs_of(text, 20)]


def spelled(text: str) -> str:
    return "".join(piece for _, piece in runs_of(text, 20))


@pytest.fixture
def no_bold(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without pygame-ce."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)


def test_only_what_the_usual_font_lacks_is_drawn_in_another(installed: dict[str, str]) -> None:
    installed["LiberationSans-Regular.ttf"] = string.ascii_letters + "éřáÉ"
    assert drawn("Moonlight") == [("own", "Moonlight")]
    assert drawn("Prélude, no. 1") == [
        ("own", "Pr"),
        ("LiberationSans-Regular.ttf", "é"),
        ("own", "lude, no. 1"),
    ]
    assert drawn("Dvořák") == [
        ("own", "Dvo"),
        ("LiberationSans-Regular.ttf", "řá"),
        ("own", "k"),
    ]
    assert drawn("E\u0301tude in F♯") == [
        ("LiberationSans-Regular.ttf", "É"),
        ("own", "tude in F#"),
    ]
    assert lost_signs("Prélude, Dvořák") == ""


def test_a_font_of_the_system_that_has_all_signs(installed: dict[str, str]) -> None:
    installed["ipaexg.ttf"] = "月光"
    installed["DejaVuSans.ttf"] = "月光ソナタ"
    installed["NotoSans-Regular.ttf"] = "月光ソナタ"
    assert drawn(TITLE + " 1") == [
        ("DejaVuSans.ttf", "月光"),
        ("own", " "),
        ("DejaVuSans.ttf", "ソナタ"),
        ("own", " 1"),
    ]
    assert lost_signs(TITLE) == ""


def test_the_font_that_has_most(installed: dict[str, str]) -> None:
    installed["ipaexg.ttf"] = "月"
    installed["malgun.ttf"] = "月光ソ"
    installed["DejaVuSans.ttf"] = "光ソナ"
    assert {name for name, _ in drawn(TITLE)} == {"malgun.ttf", "own"}
    assert spelled(TITLE) == "月光 ソ??"
    assert lost_signs(TITLE + TITLE) == "ナタ"


def test_without_any_font_all_is_lost_and_told(installed: dict[str, str]) -> None:
    assert drawn(TITLE) == [("own", "?? ???")]
    assert lost_signs("月光?") == "月光"
    assert lost_signs("Dvořák, F♯ \u2013 why?") == ""


@pytest.mark.usefixtures("installed", "no_bold")
def test_a_png_spells_what_no_font_has() -> None:
    plain = {"Gymnopédie": "Gymnopedie", "Dvořák": "Dvorak", "F♯ \u2013 Œuvre": "F# - OEuvre"}
    plain |= {"J. S. Bach, no. 1": "J. S. Bach, no. 1", "夜": "?", "x\u0302": "x"}
    for title, expected in plain.items():
        assert drawn(title) == [("own", expected)]


def test_where_only_a_bold_font_has_a_sign_it_draws_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fonts, "SYSTEM_FONTS", ())
    for title in ("Gymnopédie", "Dvořák", "Gymnope\u0301die", "Чайковский", "Łódź, œuvre \u2013 1"):
        [(font, text)] = runs_of(title, 20)
        assert isinstance(font, ImageFont.FreeTypeFont)
        assert font.getname() == ("FreeSans", "Bold")
        assert text == unicodedata.normalize("NFC", title)
    assert spelled("Étude in F♯") == "Étude in F#"
    [(font, _)] = runs_of("no. 1 in F♯", 20)
    assert isinstance(font, ImageFont.FreeTypeFont)
    assert font.getname() != ("FreeSans", "Bold")
