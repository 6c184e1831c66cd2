"""Shades are told apart: from the paper, from each other, primer from new."""

import pytest

from perceiver_music.view.palette import DARK, LIGHT, STEPS, Palette, oklch, shade_number


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_every_note_stands_out(palette: Palette) -> None:
    for shade in palette.primer:
        assert contrast(shade, palette.paper) > 1.8
    for shade in palette.new:
        assert contrast(shade, palette.new_ground) > 1.6
    assert contrast(palette.ink, palette.paper) > 7
    assert contrast(palette.faint, palette.paper) > 4.5


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_louder_is_stronger(palette: Palette) -> None:
    for ramp in (palette.primer, palette.new):
        distances = [contrast(shade, palette.paper) for shade in ramp]
        assert distances == sorted(distances)


def test_velocities_use_all_shades() -> None:
    assert shade_number(0) == 0
    assert shade_number(127) == STEPS - 1
    assert {shade_number(v) for v in range(128)} == set(range(STEPS))
    assert LIGHT.shade(60, is_new=True) in LIGHT.new
    assert LIGHT.shade(60, is_new=False) in LIGHT.primer


def test_known_colours() -> None:
    """White, black, and the red of sRGB, after Ottosson's own table."""
    assert (oklch(1, 0, 0), oklch(0, 0, 0)) == ("#ffffff", "#000000")
    assert oklch(0.62796, 0.25768, 29.234) == "#ff0000"
