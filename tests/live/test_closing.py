"""An answer comes to a stop of its own before it would be cut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from perceiver_music.live.closing import RING_SECONDS, brought_to_a_stop, led_from
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.event_reader import Event, EventReader
from perceiver_music.tokenizer.pedal_events import PEDAL


def events(*words: tuple[str, int], vocabulary: v.Vocabulary = v.MAESTRO) -> Iterator[Event]:
    reader = EventReader(vocabulary)
    for name, value in words:
        token = PEDAL + value if name == "PEDAL" else v.token_id(name, value)
        yield reader.read(token)


def chords(steps: list[int], *pitches: int) -> list[tuple[str, int]]:
    """A chord after another, each held until the next is struck, so many steps later."""
    words: list[tuple[str, int]] = [("VELOCITY", 16)]
    for count in steps:
        words += [("NOTE_ON", pitch) for pitch in pitches]
        while count:
            shift = min(count, v.MAX_SHIFT_STEPS)
            words.append(("TIME_SHIFT", shift))
            count -= shift
        words += [("NOTE_OFF", pitch) for pitch in pitches]
    return words


def sounding(found: list[Event]) -> list[tuple[int, float, float]]:
    """Pitch, onset and end of each note; every one has an end."""
    down: dict[int, float] = {}
    notes = []
    for event in found:
        if event.name == "NOTE_ON":
            down[event.value] = event.seconds
        elif event.name == "NOTE_OFF":
            notes.append((event.value, down.pop(event.value), event.seconds))
    assert not down
    return notes


def test_it_stops_at_a_long_note_near_the_limit() -> None:
    steps = [25] * 70 + [90] + [25] * 100  # the long one is struck at 17.5 s of 20
    found = list(brought_to_a_stop(events(*chords(steps, 60, 64)), longest_seconds=20))
    assert sounding(found)[-2:] == [(60, 17.5, 18.5), (64, 17.5, 18.5)]
    early = [25] * 30 + [90] + [25] * 100  # far from the limit it is a long note and no more
    found = list(brought_to_a_stop(events(*chords(early, 60)), longest_seconds=20))
    assert sounding(found)[-1][1] > 15


@pytest.mark.parametrize("longest", [0.5, 1, 3, 10, 60])
@pytest.mark.parametrize("every", [1, 7, 12, 40, 150])
def test_however_it_plays_the_last_chord_is_whole_and_rings_within_the_limit(
    longest: float, every: int
) -> None:
    words = chords([every] * 12_000, 48, 60, 67)
    found = list(brought_to_a_stop(events(*words), longest_seconds=longest))
    notes = sounding(found)
    last = max(onset for _, onset, _ in notes)
    assert sorted(pitch for pitch, onset, _ in notes if onset == last) == [48, 60, 67]
    ends = {end for _, onset, end in notes if onset == last}
    assert len(ends) == 1
    assert ends.pop() == pytest.approx(min(longest, last + RING_SECONDS))
    assert longest - last >= min(RING_SECONDS, longest / 4) - 1e-9
    assert [event.seconds for event in found] == sorted(event.seconds for event in found)


@pytest.mark.parametrize(
    ("longest", "seconds"), [(60.0, 51.0), (20.0, 11.0), (10.0, 5.0), (1, 0.35)]
)
def test_it_is_led_to_a_stop_in_its_last_seconds(longest: float, seconds: float) -> None:
    assert led_from(longest) * longest == pytest.approx(seconds)


def test_what_ends_before_is_left_as_it_is() -> None:
    words = chords([50] * 4, 60)
    assert list(brought_to_a_stop(events(*words), longest_seconds=60)) == list(events(*words))


def test_a_rest_near_the_limit_is_a_stop_that_releases_nothing() -> None:
    words = [*chords([50] * 13, 60), ("TIME_SHIFT", 100), *chords([50] * 9, 60)]
    found = list(brought_to_a_stop(events(*words), longest_seconds=10))
    assert found[-1] == list(events(*words))[13 * 3]  # the release before the rest


def test_an_answer_that_has_hardly_begun_keeps_its_only_note() -> None:
    words = [("TIME_SHIFT", 90), *chords([10], 60)]
    found = list(brought_to_a_stop(events(*words), longest_seconds=1))
    assert sounding(found) == [(60, 0.9, 1.0)]


def test_the_pedal_comes_up_with_the_last_keys() -> None:
    words = [
        ("PEDAL", 90),
        ("NOTE_ON", 60),
        ("TIME_SHIFT", 100),
        ("NOTE_OFF", 60),
        ("NOTE_ON", 62),
        ("TIME_SHIFT", 100),
    ]
    found = list(brought_to_a_stop(events(*words, vocabulary=v.PEDAL), longest_seconds=2.2))
    assert [(e.name, e.value, e.seconds) for e in found[-2:]] == [
        ("NOTE_OFF", 62, 2.0),
        ("PEDAL", 0, 2.0),
    ]
