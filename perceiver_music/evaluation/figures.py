"""The figures of one performance, and how far those of real pieces range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from perceiver_music.evaluation.statistics import music_statistics, pitch_class_histogram
from perceiver_music.music.performance import MICROSECONDS, NoteArray, PedalArray
from perceiver_music.music.sustain import PEDAL_DOWN_VALUE

PERCENTILES = (5, 50, 95)
PITCH_CLASSES = "pitch_classes"
_NOT_RANGED = {"notes", "seconds", "key"}
_NEVER_TOO_LITTLE = {"longest_silence", "longest_loop", "repeated_share"}

Figures = dict[str, Any]
Range = list[float]


def figures_of(notes: NoteArray, pedal: PedalArray | None = None) -> Figures:
    """Everything that `MusicStatistics` has, the pitch classes, and the pedal if it is known.

    Args:
        notes: as they sound, in order of their onsets; at least one.
        pedal: moves of controller 64 while they were played; None when nobody knows.
    """
    figures: Figures = asdict(music_statistics(notes))
    figures[PITCH_CLASSES] = pitch_class_histogram(notes).tolist()
    if pedal is not None:
        begin, end = int(notes["start_us"].min()), int(notes["end_us"].max())
        figures |= pedal_figures(pedal, begin, end)
    return figures


def pedal_figures(pedal: PedalArray, begin_us: int, end_us: int) -> Figures:
    """Share of the time in which the pedal is down, and how often a minute it is pressed."""
    span = max(1, end_us - begin_us)
    is_down = pedal["value"] >= PEDAL_DOWN_VALUE
    times = np.clip(pedal["time_us"], begin_us, end_us)
    held = np.diff(np.append(times, end_us))[is_down].sum()
    minutes = span / MICROSECONDS / 60
    return {
        "pedal_share": float(held / span),
        "pedal_presses_per_minute": _num_presses(pedal, begin_us, end_us) / minutes,
    }


def has_presses(pedal: PedalArray, begin_us: int, end_us: int) -> bool:
    """Whether the pedal goes down at least once between two moments."""
    return _num_presses(pedal, begin_us, end_us) > 0


def _num_presses(pedal: PedalArray, begin_us: int, end_us: int) -> int:
    is_down = pedal["value"] >= PEDAL_DOWN_VALUE
    goes_down = is_down & ~np.concatenate(([False], is_down))[:-1]
    is_within = (pedal["time_us"] >= begin_us) & (pedal["time_us"] < end_us)
    return int((goes_down & is_within).sum())


def ranges_of(pieces: Sequence[Figures]) -> dict[str, Range | list[Range]]:
    """Of each figure the 5th, 50th and 95th percentile over some pieces.

    A figure that not all have is taken of those that do; of the pitch classes, each has its own.
    """
    names = {name for piece in pieces for name in piece} - _NOT_RANGED - {PITCH_CLASSES}
    ranges: dict[str, Range | list[Range]] = {
        name: _percentiles(piece[name] for piece in pieces if name in piece)
        for name in sorted(names)
    }
    if pieces:
        classes = np.array([piece[PITCH_CLASSES] for piece in pieces])
        ranges[PITCH_CLASSES] = [_percentiles(column) for column in classes.T]
    return ranges


def is_unusual(name: str, value: float, real: Sequence[float]) -> bool:
    """Whether a figure lies outside what nine of ten real pieces have; no loop is never too few."""
    is_low = _rounded(value) < real[0] and name not in _NEVER_TOO_LITTLE
    return is_low or _rounded(value) > real[-1]


def unusual_figures(figures: Mapping[str, Any], ranges: Mapping[str, Any]) -> list[str]:
    """The figures that lie outside, by name; pitch classes are a matter of key and left out."""
    return [
        name
        for name, real in ranges.items()
        if name != PITCH_CLASSES and name in figures and is_unusual(name, figures[name], real)
    ]


def _percentiles(values: Iterable[float]) -> Range:
    found = np.percentile(np.fromiter(values, dtype=np.float64), PERCENTILES)
    return [_rounded(value) for value in found]


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
