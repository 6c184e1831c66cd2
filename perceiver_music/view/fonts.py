"""A font that has the signs of a text, for pictures that have to carry their letters as dots.

Pillow's own font has few signs but ASCII; pygame-ce's is bold, and has the accents and alphabets
of Europe. For all others the fonts of the system are asked for by name.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import unicodedata
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

SYSTEM_FONTS: Final = (
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
"""Files that Linux, macOS and Windows have or offer, those with the most signs first."""

_WIDER_FONT: Final = "freesansbold.ttf"
_PLAIN_SIGNS: Final = {"♯": "#", "♭": "b", "\u2013": "-", "\u2014": "-", "\u2019": "'"}
_PLAIN_LETTERS: Final = {
    **{"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE"},
    **{"ł": "l", "Ł": "L", "đ": "d", "Đ": "D"},
}
_PLAIN: Final = _PLAIN_SIGNS | _PLAIN_LETTERS
_NO_SIGN: Final = "\uffff"
_IN_THE_PLACE_OF_A_SIGN: Final = "?"


def font_for(text: str, size: float) -> Font:
    """The first font that has all signs of a text; where none has, the first that has most.

    Args:
        text: what is to be drawn.
        size: in pixels.
    """
    signs = set(unicodedata.normalize("NFC", text)) - set(_PLAIN_SIGNS)
    best, fewest = None, len(signs) + 1
    for font in _fonts(size):
        lacking = sum(not has for has in map(_has_sign(font), signs))
        if lacking < fewest:
            best, fewest = font, lacking
        if not fewest:
            break
    assert best is not None
    return best


def drawable(text: str, font: Font) -> str:
    """The text in signs that the font has: without an accent, or spelled out, what it lacks."""
    return "".join(_spelled(sign, font) for sign in unicodedata.normalize("NFC", text))


def lost_signs(text: str) -> str:
    """The signs of a text, each once, that no font here has and that cannot be spelled out."""
    font = font_for(text, 20)
    return "".join(
        sign
        for sign in dict.fromkeys(unicodedata.normalize("NFC", text))
        if _IN_THE_PLACE_OF_A_SIGN in _spelled(sign, font) and sign != _IN_THE_PLACE_OF_A_SIGN
    )


def _fonts(size: float) -> Iterator[Font]:
    """Pillow's, pygame-ce's, then the system's; each is looked for when its turn comes."""
    from PIL import ImageFont

    yield ImageFont.load_default(size=size)
    package = importlib.util.find_spec("pygame")  # found without being imported
    folders = (package.submodule_search_locations or ()) if package else ()
    own = [os.path.join(folder, _WIDER_FONT) for folder in folders]  # noqa: PTH118
    for name in (*own, *SYSTEM_FONTS):
        with contextlib.suppress(OSError):
            yield ImageFont.truetype(name, size)


def _spelled(sign: str, font: Font) -> str:
    has = _has_sign(font)
    if has(sign):
        return sign
    letters = unicodedata.normalize("NFKD", _PLAIN.get(sign, sign))
    return "".join(
        letter if has(letter) else _IN_THE_PLACE_OF_A_SIGN
        for letter in letters
        if not unicodedata.combining(letter)
    )


def _has_sign(font: Font) -> Callable[[str], bool]:
    """Tells whether a font has a sign; every font has a space, which has no dots."""
    missing = bytes(font.getmask(_NO_SIGN))
    return lambda sign: sign == " " or (sign.isprintable() and bytes(font.getmask(sign)) != missing)
