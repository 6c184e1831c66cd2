"""Fonts for pictures that have to carry their letters as dots.

Pillow's own font is the usual one, and has few signs but ASCII. For others the fonts of the system
are asked for by name; they draw those signs alone. pygame-ce's font has the accents and alphabets
of Europe and is always there, but bold: where only that one helps, it draws the whole text.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import unicodedata
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

SYSTEM_FONTS: Final = (
    "LiberationSans-Regular.ttf",
    "Arial.ttf",
    "Helvetica.ttc",
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKjp-Regular.otf",
    "ipaexg.ttf",
    "DroidSansFallbackFull.ttf",
    "DroidSansFallback.ttf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "Hiragino Sans GB.ttc",
    "AppleSDGothicNeo.ttc",
    "YuGothR.ttc",
    "msgothic.ttc",
    "msyh.ttc",
    "malgun.ttf",
    "arialuni.ttf",
    "Arial Unicode.ttf",
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "segoeui.ttf",
)
"""Files that Linux, macOS and Windows have or offer: those that look like the usual one first, then
those with the most signs."""

_BOLD_FONT: Final = "freesansbold.ttf"
_PLAIN_SIGNS: Final = {"♯": "#", "♭": "b", "\u2013": "-", "\u2014": "-", "\u2019": "'"}
_PLAIN_LETTERS: Final = {
    **{"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE"},
    **{"ł": "l", "Ł": "L", "đ": "d", "Đ": "D"},
}
_PLAIN: Final = _PLAIN_SIGNS | _PLAIN_LETTERS
_NO_SIGN: Final = "\uffff"
_IN_THE_PLACE_OF_A_SIGN: Final = "?"


class Face:
    """A font, and which signs it has.

    Args:
        font: as Pillow opens it.
        draws_all: whether it looks so different that a text is drawn in it as a whole or not.
    """

    def __init__(self, font: Font, *, draws_all: bool = False) -> None:
        self.font, self.draws_all = font, draws_all
        self._missing = bytes(font.getmask(_NO_SIGN))

    def has(self, text: str) -> bool:
        """Whether it has all signs of a text; every font has a space, which has no dots."""
        return all(
            sign == " " or (sign.isprintable() and bytes(self.font.getmask(sign)) != self._missing)
            for sign in text
        )

    def spelled(self, text: str) -> str:
        """In signs that it has: without an accent, or spelled out, what it lacks."""
        return "".join(sign if self.has(sign) else self._otherwise(sign) for sign in text)

    def _otherwise(self, sign: str) -> str:
        letters = unicodedata.normalize("NFKD", _PLAIN.get(sign, sign))
        return "".join(
            letter if self.has(letter) else _IN_THE_PLACE_OF_A_SIGN
            for letter in letters
            if not unicodedata.combining(letter)
        )


def runs_of(text: str, size: float) -> list[tuple[Font, str]]:
    """What is drawn of a text, in pieces of one font each: the usual one for all that it has.

    Args:
        text: what is to be drawn.
        size: in pixels.
    """
    return [
        (font, "".join(drawn for _, _, drawn in pieces))
        for font, pieces in itertools.groupby(_drawn(text, size), key=lambda piece: piece[0])
    ]


def lost_signs(text: str) -> str:
    """The signs of a text, each once, that no font here has and that cannot be spelled out."""
    lost = (
        sign
        for _, signs, drawn in _drawn(text, 20)
        for sign in signs
        if _IN_THE_PLACE_OF_A_SIGN in drawn and sign != _IN_THE_PLACE_OF_A_SIGN
    )
    return "".join(dict.fromkeys(lost))


def _drawn(text: str, size: float) -> Iterator[tuple[Font, str, str]]:
    """Of each letter with its accents the font, the signs, and those that stand for them."""
    from PIL import ImageFont

    usual = Face(ImageFont.load_default(size=size))
    letters = list(_letters(unicodedata.normalize("NFC", text)))
    lacking = [each for each in letters if each not in _PLAIN_SIGNS and not usual.has(each)]
    other = _face_with_most(lacking, size) if lacking else None
    for letter in letters:
        face = usual
        if other is not None and (other.draws_all or (letter in lacking and other.has(letter))):
            face = other
        yield face.font, letter, face.spelled(letter)


def _letters(text: str) -> Iterator[str]:
    """Each sign with the accents that are signs of their own behind it."""
    letter = ""
    for sign in text:
        if letter and not unicodedata.combining(sign):
            yield letter
            letter = ""
        letter += sign
    if letter:
        yield letter


def _face_with_most(letters: Collection[str], size: float) -> Face | None:
    """The first that has all these letters; where none has, the first that has most, if any."""
    best, most = None, 0
    for face in _other_faces(size):
        count = sum(map(face.has, letters))
        if count > most:
            best, most = face, count
        if most == len(letters):
            break
    return best


def _other_faces(size: float) -> Iterator[Face]:
    """The system's, then pygame-ce's; each is looked for when its turn comes."""
    from PIL import ImageFont

    for name in SYSTEM_FONTS:
        with contextlib.suppress(OSError):
            yield Face(ImageFont.truetype(name, size))
    package = importlib.util.find_spec("pygame")  # found without being imported
    for folder in (package.submodule_search_locations or ()) if package else ():
        with contextlib.suppress(OSError):
            path = os.path.join(folder, _BOLD_FONT)  # noqa: PTH118
            yield Face(ImageFont.truetype(path, size), draws_all=True)
