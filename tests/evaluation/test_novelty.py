"""Planted copies are found, whatever key and tempo; nothing else is."""

import numpy as np
import pytest

from perceiver_music.evaluation.novelty import PassageIndex
from perceiver_music.music.performance import note_array


def notes_of(pitch: np.ndarray, seed: int = 0) -> np.ndarray:
    """Notes too far apart to be a chord."""
    start = np.cumsum(np.random.default_rng(seed).integers(70_000, 400_000, len(pitch)))
    return note_array(start, start + 200_000, pitch, np.full(len(pitch), 64))


def random_notes(seed: int, size: int, low: int = 21, high: int = 109) -> np.ndarray:
    return notes_of(np.random.default_rng(seed).integers(low, high, size), seed)


def longest_by_hand(query: np.ndarray, pieces: list[np.ndarray]) -> int:
    def steps(notes: np.ndarray) -> list[int]:
        return np.diff(notes["pitch"].astype(int)).tolist()

    pitch = query["pitch"].tolist()
    counts = [
        i < 3 or pitch[i] != pitch[i - 2] or pitch[i - 1] != pitch[i - 3] for i in range(len(pitch))
    ]
    wanted, best = steps(query), 0
    for piece in map(steps, pieces):
        row = [0] * (len(piece) + 1)
        for at, step in enumerate(wanted):
            row = [0] + [row[i] + 1 if piece[i] == step else 0 for i in range(len(piece))]
            best = max(best, sum(counts[at + 1 - max(row) : at + 2]) if max(row) else 0)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_the_longest_passage_is_found(seed: int) -> None:
    """Few pitches, so that short matches are everywhere."""
    pieces = [random_notes(100 * seed + i, 150, 60, 64) for i in range(4)]
    query = random_notes(100 * seed + 50, 80, 60, 64)
    passage = PassageIndex.of(pieces).longest_shared(query)
    assert passage.num_notes == longest_by_hand(query, pieces)


@pytest.mark.parametrize("length", [20, 64, 65, 66, 150])
@pytest.mark.parametrize(("transposition", "stretch"), [(0, 1.0), (-7, 1.0), (5, 1.1)])
def test_a_planted_copy_is_found(length: int, transposition: int, stretch: float) -> None:
    pieces = [random_notes(i, 500, 40, 90) for i in range(5)]
    query = random_notes(9, 400, 40, 90)
    copied = pieces[3][100 : 100 + length].copy()
    query[200 : 200 + length]["pitch"] = copied["pitch"].astype(int) + transposition
    times = (copied["start_us"] - copied["start_us"][0]) * stretch
    query["start_us"][200 : 200 + length] = query["start_us"][200] + times.astype(int)
    query["start_us"][200 + length :] += int(times[-1])  # what follows stays behind it
    passage = PassageIndex.of(pieces).longest_shared(query)
    assert length <= passage.num_notes <= length + 2  # a neighbour may match by chance
    assert passage.piece == 3
    assert passage.transposition == transposition
    assert passage.piece_seconds[1] * stretch == pytest.approx(passage.query_seconds[1], abs=0.5)
    assert passage.same_rhythm > 0.9


def test_passages_do_not_reach_over_the_end_of_a_piece() -> None:
    pieces = [notes_of(np.arange(40, 60)), notes_of(np.arange(60, 80))]
    assert PassageIndex.of(pieces).longest_shared(notes_of(np.arange(30, 70))).num_notes == 20


def test_a_long_figure_is_followed_to_its_end() -> None:
    figure = np.tile([60, 62, 65], 200)
    pieces = [notes_of(np.concatenate((figure, [70]))), notes_of(figure[:100])]
    query = notes_of(np.concatenate((figure[:250], [50, 51])))
    assert PassageIndex.of(pieces).longest_shared(query).num_notes == 250


@pytest.mark.parametrize("trill", [[60, 62], [48, 60], [60]])
def test_a_trill_is_no_passage(trill: list[int]) -> None:
    trill = np.tile(trill, 100)
    scale = np.arange(70, 78)
    piece = notes_of(np.concatenate((trill, [81], scale, [80])))
    query = notes_of(np.concatenate((trill, [30], scale, [31])))
    passage = PassageIndex.of([piece]).longest_shared(query)
    assert passage.num_notes == len(scale)
    assert PassageIndex.of([piece]).longest_shared(query[: len(trill)]).num_notes == 3


def test_a_passage_goes_on_through_a_trill_of_which_three_notes_count() -> None:
    theme, trill = random_notes(3, 20)["pitch"], np.tile([110, 112], 30)
    notes = notes_of(np.concatenate((theme, trill, theme + 1)))
    passage = PassageIndex.of([random_notes(4, 200), notes]).longest_shared(notes)
    assert passage.num_notes == 20 + 3 + 20
    assert passage.query_seconds[1] == pytest.approx(
        (notes["start_us"][-1] - notes["start_us"][0]) / 1e6, abs=0.02
    )


def test_trills_by_the_thousand_do_not_hide_what_is_between_them() -> None:
    """Windows that are everywhere are not followed one by one, and still lead to the longest."""
    trill = np.tile([60, 62], 400)
    rng = np.random.default_rng(1)
    bridge = rng.permutation(np.arange(30, 55))
    piece = notes_of(np.concatenate((trill, bridge, trill + 1, [20])))
    others = [notes_of(np.concatenate((trill + i, [21]))) for i in range(5)]
    query = notes_of(np.concatenate((trill[:700] + 2, bridge + 2, trill[:701] + 3, [90])))
    passage = PassageIndex.of([*others, piece]).longest_shared(query)
    assert (passage.piece, passage.transposition) == (5, 2)
    assert passage.num_notes == 3 + 25 + 3
    assert passage.query_seconds[1] > 200.0


def chords(seed: int, number: int = 60) -> np.ndarray:
    """Three keys at a time, struck within 45 ms."""
    rng = np.random.default_rng(seed)
    pitch = 30 + 12 * np.arange(3) + rng.integers(0, 12, (number, 3))
    start = 300_000 * np.arange(number)[:, None] + rng.integers(0, 45_000, (number, 3))
    notes = note_array(start.ravel(), start.ravel() + 9, pitch.ravel(), np.full(3 * number, 64))
    return np.sort(notes, order=("start_us", "pitch"))


def test_the_keys_of_a_chord_may_be_struck_in_another_order() -> None:
    piece = chords(1)
    again = piece.copy()
    again["pitch"] = np.concatenate([np.sort(trio)[::-1] for trio in np.split(piece["pitch"], 60)])
    query = np.concatenate((piece[:30], again[30:150], piece[150:]))
    passage = PassageIndex.of([chords(0), piece]).longest_shared(query)
    assert (passage.piece, passage.num_notes, passage.transposition) == (1, 180, 0)


@pytest.mark.parametrize("shift", [0, -3])
def test_a_copy_with_every_chord_in_another_order_is_found(shift: int) -> None:
    """Beside a shorter passage that stands in the same order: it may not be all that is seen."""
    piece = chords(1, 20)
    scale = notes_of(np.arange(40, 70))
    copy = piece.copy()
    trios = np.split(piece["pitch"].astype(int) + shift, 20)
    copy["pitch"] = np.concatenate([trio[::-1] for trio in trios])
    parts = [random_notes(8, 100), copy, random_notes(9, 100), scale, random_notes(10, 100)]
    end_us = 0
    for part in parts:
        part["start_us"] += end_us + 400_000 - part["start_us"][0]
        end_us = int(part["start_us"][-1])
    passage = PassageIndex.of([chords(0), scale, piece]).longest_shared(np.concatenate(parts))
    assert (passage.piece, passage.transposition) == (2, shift)
    assert 60 <= passage.num_notes <= 62  # a neighbour may match by chance


def test_a_melody_in_another_order_is_another_melody() -> None:
    piece = random_notes(1, 200)
    query = piece.copy()
    for i in range(10, 200, 10):
        query["pitch"][[i, i + 1]] = query["pitch"][[i + 1, i]]
    assert PassageIndex.of([piece]).longest_shared(query).num_notes <= 12


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_notes_share_little(seed: int) -> None:
    piece = random_notes(seed, 2_000, 40, 90)
    shuffled = piece.copy()
    np.random.default_rng(seed).shuffle(shuffled["pitch"])
    assert PassageIndex.of([piece]).longest_shared(shuffled).num_notes < 7


def test_nothing_is_shared() -> None:
    passage = PassageIndex.of([notes_of(np.array([60, 61, 62]))]).longest_shared(
        notes_of(np.array([60, 67, 60]))
    )
    assert (passage.num_notes, passage.piece) == (0, None)
    assert PassageIndex.of([random_notes(0, 9)]).longest_shared(random_notes(0, 0)).num_notes == 0


def test_pieces_keep_their_numbers_beside_empty_ones() -> None:
    empty, found = random_notes(0, 0), random_notes(3, 40)
    passage = PassageIndex.of([empty, random_notes(1, 40), empty, empty, found]).longest_shared(
        found
    )
    assert (passage.piece, passage.num_notes) == (4, 40)
    assert passage.piece_seconds == passage.query_seconds


def test_an_index_of_no_notes_is_refused() -> None:
    with pytest.raises(ValueError, match="no notes"):
        PassageIndex.of([random_notes(0, 0)])
