"""Which font a title is drawn in, and what becomes of signs that it lacks."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from PIL import ImageFont

from perceiver_music.view import fonts
from perceiver_music.view.fonts import drawable, font_for, lost_signs

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


def name_of(font: object) -> str:
    return getattr(font, "name", "own")


def test_a_font_of_the_system_that_has_all_signs(installed: dict[str, str]) -> None:
    installed["ipaexg.ttf"] = "月光"
    installed["DejaVuSans.ttf"] = "月光ソナタ"
    installed["NotoSans-Regular.ttf"] = "月光ソナタ"
    font = font_for(TITLE, 20)
    assert name_of(font) == "DejaVuSans.ttf"
    assert drawable(TITLE, font) == TITLE
    assert lost_signs(TITLE) == ""
    assert name_of(font_for("Moonlight", 20)) == "own"


def test_the_font_that_has_most(installed: dict[str, str]) -> None:
    installed["ipaexg.ttf"] = "月"
    installed["malgun.ttf"] = "月光ソ"
    installed["DejaVuSans.ttf"] = "光ソナ"
    font = font_for(TITLE, 20)
    assert name_of(font) == "malgun.ttf"
    assert drawable(TITLE, font) == "月光 ソ??"
    assert lost_signs(TITLE + TITLE) == "ナタ"


def test_without_any_font_all_is_lost_and_told(installed: dict[str, str]) -> None:
    assert name_of(font_for(TITLE, 20)) == "own"
    assert lost_signs("月光?") == "月光"
    assert lost_signs("Dvořák, F♯ \u2013 why?") == ""


def test_a_png_spells_what_its_font_lacks() -> None:
    font = ImageFont.load_default(size=20)
    spelled = {"Gymnopédie": "Gymnopedie", "Dvořák": "Dvorak", "F♯ \u2013 Œuvre": "F# - OEuvre"}
    spelled |= {"J. S. Bach, no. 1": "J. S. Bach, no. 1", "夜": "?"}
    for title, expected in spelled.items():
        assert drawable(title, font) == expected


def test_a_png_keeps_accents_and_alphabets() -> None:
    for title in ("Gymnopédie", "Dvořák", "Gymnope\u0301die", "Чайковский", "Łódź, œuvre \u2013 1"):
        font = font_for(title, 20)
        assert "?" not in drawable(title, font)
        assert drawable(title, font) == unicodedata.normalize("NFC", title)
    assert drawable("Étude in F♯", font_for("Étude in F♯", 20)) == "Étude in F#"
    assert font_for("no. 1 in F♯", 20).getname() != font_for("Étude", 20).getname()


def test_without_the_wider_font_accents_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(fonts, "SYSTEM_FONTS", ())
    assert drawable("Étude", font_for("Étude", 20)) == "Etude"
