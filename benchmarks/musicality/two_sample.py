"""A small classifier that tries to tell made from real: how often it is right.

Excerpts of ten seconds are described by histograms (touch, time, harmony, texture, repetition) and
told apart by a two-layer network, trained on other pieces than it is asked about. Half right is
chance: to it, made and real are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from benchmarks.intervals import weighted_mean_interval
from benchmarks.musicality.made_pieces import Continued, between
from perceiver_music.music.performance import MICROSECONDS, NoteArray

EXCERPT_SECONDS = 10.0
FEWEST_NOTES = 8
NUM_FOLDS, NUM_STEPS, NUM_NETWORKS = 6, 300, 5
Floats = npt.NDArray[np.float64]

_TIME_EDGES = np.array([0, 0.011, 0.021, 0.041, 0.07, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.2, 99])
_LENGTH_EDGES = np.array([0, 0.03, 0.06, 0.1, 0.15, 0.25, 0.4, 0.7, 1.2, 2.0, 4.0, 8.0, 999])


def features(notes: NoteArray) -> Floats:
    """What an excerpt is like, in numbers of about unit size."""
    start = notes["start_us"] / MICROSECONDS
    length = (notes["end_us"] - notes["start_us"]) / MICROSECONDS
    pitch, velocity = notes["pitch"].astype(int), notes["velocity"].astype(int)
    gaps = np.diff(start)
    # Notes within 35 ms are one chord.
    chord = np.concatenate(([0], np.cumsum(gaps > 0.035)))
    sizes = np.bincount(chord)
    same_chord = np.diff(chord) == 0
    steps = np.diff(pitch)
    classes = np.bincount(pitch % 12, weights=np.minimum(length, 2.0), minlength=12)
    grams = np.lib.stride_tricks.sliding_window_view(pitch, 4)
    rhythm = np.lib.stride_tricks.sliding_window_view(np.round(gaps / 0.03).astype(int), 3)
    ends = np.minimum(notes["end_us"] / MICROSECONDS, EXCERPT_SECONDS)
    sounding = np.array([((start <= t) & (ends > t)).sum() for t in np.arange(0.25, 10, 0.5)])
    top = np.array([pitch[chord == c].max() for c in range(len(sizes))])
    bottom = np.array([pitch[chord == c].min() for c in range(len(sizes))])
    parts = [
        _shares(gaps, _TIME_EDGES),
        _shares(length, _LENGTH_EDGES),
        _shares(velocity, np.arange(0, 129, 8)),
        _shares(np.abs(np.diff(velocity)), np.array([0, 1, 4, 8, 12, 16, 24, 32, 128])),
        _shares(pitch, np.arange(21, 115, 8)),
        _shares(np.abs(steps[~same_chord]), np.arange(0, 26, 2)),
        _shares(np.abs(steps[same_chord]) % 12, np.arange(13)),
        _shares(np.diff(top), np.array([-99, -12, -7, -4, -2, -1, 0, 1, 2, 3, 5, 8, 13, 99])),
        _shares(np.diff(bottom), np.array([-99, -12, -7, -4, -2, -1, 0, 1, 2, 3, 5, 8, 13, 99])),
        _shares(sizes, np.array([1, 2, 3, 4, 5, 6, 99])),
        np.sort(classes / max(classes.sum(), 1e-9))[::-1],
        _shares(sounding, np.array([0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 99])),
        [
            np.log1p(len(notes)),
            1 - len(np.unique(grams, axis=0)) / max(1, len(grams)),
            1 - len(np.unique(rhythm, axis=0)) / max(1, len(rhythm)),
            velocity.std() / 10,
            gaps.max(initial=0.0),
            np.log(length + 0.01).std(),
        ],
    ]
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])


def _shares(values: npt.ArrayLike, edges: npt.ArrayLike) -> Floats:
    counts = np.histogram(np.clip(values, np.min(edges), np.max(edges)), bins=edges)[0]
    return np.sqrt(counts / max(1, counts.sum()))


@dataclass(frozen=True, kw_only=True)
class Excerpts:
    """Described excerpts.

    Attributes:
        values: `[excerpts, features]`.
        is_made: of each.
        piece: its piece's number.
    """

    values: Floats
    is_made: npt.NDArray[np.bool_]
    piece: npt.NDArray[np.int64]


def excerpts_of(pieces: Sequence[Continued], seconds: float) -> Excerpts:
    """All stretches of both kinds that have enough notes; of a piece as many of each."""
    values, is_made, numbers = [], [], []
    for number, piece in enumerate(pieces):
        for first in np.arange(0.0, seconds - EXCERPT_SECONDS + 0.1, EXCERPT_SECONDS):
            pair = [between(n, first, first + EXCERPT_SECONDS) for n in (piece.real, piece.made)]
            if min(map(len, pair)) < FEWEST_NOTES:
                continue
            values += [features(notes) for notes in pair]
            is_made += [False, True]
            numbers += [number, number]
    return Excerpts(
        values=np.array(values), is_made=np.array(is_made), piece=np.array(numbers, dtype=np.int64)
    )


def tell_apart(excerpts: Excerpts, *, seed: int = 0) -> dict[str, float]:
    """Accuracy on pieces that were not learned from, with an interval over pieces."""
    torch.manual_seed(seed)
    fold = np.random.default_rng(seed).permutation(int(excerpts.piece.max()) + 1) % NUM_FOLDS
    fold_of = fold[excerpts.piece]
    is_right = np.zeros(len(excerpts.piece))
    for held_out in range(NUM_FOLDS):
        asked = fold_of == held_out
        is_right[asked] = _learn_and_ask(excerpts, ~asked, asked)
    pieces = np.unique(excerpts.piece)
    sums = [is_right[excerpts.piece == piece].sum() for piece in pieces]
    counts = [(excerpts.piece == piece).sum() for piece in pieces]
    mean, low, high = weighted_mean_interval(sums, counts)
    return {"excerpts": len(is_right), "accuracy": mean, "low": low, "high": high}


def _learn_and_ask(
    excerpts: Excerpts, learned: npt.NDArray[np.bool_], asked: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    values = excerpts.values
    mean, spread = values[learned].mean(axis=0), values[learned].std(axis=0) + 1e-3
    inputs = torch.from_numpy((values - mean) / spread).float()
    labels = torch.from_numpy(excerpts.is_made).float()
    votes = torch.zeros(int(asked.sum()))
    for _ in range(NUM_NETWORKS):
        network = torch.nn.Sequential(
            torch.nn.Dropout(0.3),
            torch.nn.Linear(values.shape[1], 64),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.5),
            torch.nn.Linear(64, 1),
        )
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05)
        for _ in range(NUM_STEPS):
            loss = F.binary_cross_entropy_with_logits(
                network(inputs[learned])[:, 0], labels[learned]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            votes += network(inputs[asked])[:, 0]
    return (votes.numpy() > 0) == excerpts.is_made[asked]
