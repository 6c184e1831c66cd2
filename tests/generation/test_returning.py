"""Phrases that were played before come back, now and then, key by key."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from perceiver_music.generation.grid_keeper import StepGrid
from perceiver_music.generation.growth import Growth
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import Opening
from perceiver_music.generation.returning import (
    AGO_SECONDS,
    LATEST_RETURN,
    LONGEST_SECONDS,
    OWN_SECONDS,
    SHORTEST_SECONDS,
    Returns,
)
from perceiver_music.generation.sampling import variation_rng
from perceiver_music.music.grid import Grid
from perceiver_music.music.tempo_map import TempoMap
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.infilling import MIDDLE, SUFFIX, length_ids

FLAT = np.zeros(v.VOCABULARY_SIZE, dtype=np.float32)
ALL = np.ones(v.VOCABULARY_SIZE, dtype=np.bool_)
SECOND = v.STEPS_PER_SECOND
PHRASE_SECONDS = 8
THEME = (60, 64, 67, 72, 71, 67, 65, 62)


class Certain(np.random.Generator):
    """Returns wherever it may, and chooses the first."""

    def __init__(self) -> None:
        super().__init__(np.random.Philox(0))

    def random(self, *args: object, **kwargs: object) -> float:
        return 0.999

    def choice(self, a: object, *args: object, **kwargs: object) -> object:
        return a[0] if isinstance(a, list) else 0


def note(pitch: int, wait: int, velocity_bin: int = 16) -> list[int]:
    """A note of half its time, a second at most, and the time to the next."""
    half = min(wait // 2, v.MAX_SHIFT_STEPS)
    rest = [v.TIME_SHIFT + v.MAX_SHIFT_STEPS - 1] * ((wait - half - 1) // v.MAX_SHIFT_STEPS)
    last = wait - half - v.MAX_SHIFT_STEPS * len(rest)
    return [
        v.VELOCITY + velocity_bin,
        v.NOTE_ON + pitch,
        v.TIME_SHIFT + half - 1,
        v.NOTE_OFF + pitch,
        *rest,
        v.TIME_SHIFT + last - 1,
    ]


def phrase(pitches: Sequence[int] = THEME) -> list[int]:
    """Sixteen notes in eight seconds, the last of which is a long one."""
    notes = [(pitch, 45) for pitch in (*pitches, *pitches)]
    notes[-1] = (notes[-1][0], PHRASE_SECONDS * SECOND - 45 * (len(notes) - 1))
    return [token for pitch, wait in notes for token in note(pitch, wait)]


def other_phrases(number: int) -> list[int]:
    return [token for i in range(number) for token in phrase([p + 1 + i % 5 for p in THEME])]


def listening(
    num_phrases: int = 1 + AGO_SECONDS // PHRASE_SECONDS, own_phrases: int = 3
) -> Returns:
    """After a theme, other phrases, and new music of which the last note is over."""
    returns = Returns([*phrase(), *other_phrases(num_phrases - 1)], rng=Certain())
    for token in other_phrases(own_phrases):
        returns.take(token)
    return returns


def played(returns: Returns) -> list[tuple[int, int, int]]:
    """What comes while it narrows: step, velocity bin and pitch of each note."""
    return [(step, velocity, token) for step, velocity, token in events(returns) if token < 128]


def events(returns: Returns) -> list[tuple[int, int, int]]:
    """What comes while it narrows: step, velocity bin in force, NOTE_ON or NOTE_OFF."""
    step, velocity, found = 0, -1, []
    sounding: set[int] = set()
    while step <= LONGEST_SECONDS * SECOND:
        allowed = ALL.copy()
        allowed[v.NOTE_OFF : v.TIME_SHIFT] = False
        for pitch in sounding:
            allowed[v.NOTE_OFF + pitch], allowed[v.NOTE_ON + pitch] = True, False
        left = returns.narrowed(allowed, FLAT, has_room=True)
        if left is allowed:
            return found
        releases = np.flatnonzero(left[v.NOTE_OFF : v.TIME_SHIFT])
        times = np.flatnonzero(left[v.TIME_SHIFT : v.VELOCITY])
        if len(releases):
            token = v.NOTE_OFF + int(releases[0])
            sounding.discard(int(releases[0]))
            found.append((step, velocity, token))
        elif len(times):
            token = v.TIME_SHIFT + int(times[-1])
            step += int(times[-1]) + 1
        else:
            (token,) = np.flatnonzero(left).tolist()
            if token < v.NOTE_OFF:
                sounding.add(token)
                found.append((step, velocity, token))
            else:
                velocity = token - v.VELOCITY
        returns.take(token)
    raise AssertionError("it never goes its own way again")


def test_a_phrase_comes_back_as_it_was() -> None:
    returns = listening()
    found = played(returns)
    assert [pitch for _, _, pitch in found] == [*THEME, *THEME]
    assert [step for step, _, _ in found] == [45 * i for i in range(16)]
    assert found[0][1] in (-1, 16)  # it is said only where it changes
    (made,) = returns.made
    assert made.from_step == -SECOND * PHRASE_SECONDS * (1 + AGO_SECONDS // PHRASE_SECONDS)
    assert made.step == SECOND * PHRASE_SECONDS * 3


def test_its_keys_are_let_go_as_they_were() -> None:
    found = [(step, token) for step, _, token in events(listening())]
    struck = [(45 * i, v.NOTE_ON + pitch) for i, pitch in enumerate((*THEME, *THEME))]
    # The last note of a phrase is let go after it, by the network.
    let_go = [(45 * i + 22, v.NOTE_OFF + pitch) for i, pitch in enumerate((*THEME, *THEME[:-1]))]
    assert found == sorted(struck + let_go)


def test_what_sounds_is_let_go_where_it_comes_back() -> None:
    returns = listening()
    returns.take(v.NOTE_ON + 40)
    for _ in range(3):
        returns.take(v.TIME_SHIFT + v.MAX_SHIFT_STEPS - 1)
    left = returns.narrowed(ALL, FLAT, has_room=True)
    assert np.flatnonzero(left).tolist() == [v.NOTE_OFF + 40]


def test_it_is_as_loud_as_it_was() -> None:
    loud = [token for p in (*THEME, *THEME[:-1]) for token in note(p, 45, velocity_bin=25)]
    last = note(THEME[-1], PHRASE_SECONDS * SECOND - 45 * 15, velocity_bin=25)
    returns = Returns([*loud, *last, *other_phrases(5)], rng=Certain())
    for token in other_phrases(3):
        returns.take(token)
    assert {velocity for _, velocity, _ in played(returns)} == {25}


def test_a_few_keys_are_no_phrase() -> None:
    sparse = [token for pitch in (60, 64) for token in note(pitch, 7 * SECOND)]
    returns = Returns([*sparse, *other_phrases(1)], rng=Certain())
    for token in other_phrases(5):
        returns.take(token)
    assert returns.narrowed(ALL, FLAT, has_room=True) is ALL


def test_what_has_just_been_played_does_not_come_back() -> None:
    returns = listening(num_phrases=1, own_phrases=AGO_SECONDS // PHRASE_SECONDS - 2)
    assert returns.narrowed(ALL, FLAT, has_room=True) is ALL


def test_new_music_goes_its_own_way_first() -> None:
    returns = listening(num_phrases=9, own_phrases=OWN_SECONDS // PHRASE_SECONDS)
    assert returns.narrowed(ALL, FLAT, has_room=True) is ALL


def test_it_goes_its_own_way_again_afterwards() -> None:
    returns = listening()
    played(returns)
    assert returns.narrowed(ALL, FLAT, has_room=True) is ALL
    assert len(returns.made) == 1


def test_within_a_phrase_nothing_comes_back() -> None:
    returns = listening()
    for token in phrase()[:10]:
        returns.take(token)
    assert returns.narrowed(ALL, FLAT, has_room=True) is ALL


def test_without_room_nothing_comes_back() -> None:
    assert listening().narrowed(ALL, FLAT, has_room=False) is ALL


def test_keys_that_are_let_go_by_their_deadline_go_first() -> None:
    returns = listening()
    returns.narrowed(ALL, FLAT, has_room=True)
    due = np.zeros_like(ALL)
    due[v.NOTE_OFF + 40] = True
    assert returns.narrowed(due, FLAT, has_room=True) is due
    assert [pitch for _, _, pitch in played(returns)] == [*THEME, *THEME]


def test_a_key_that_is_not_to_be_had_is_left_out() -> None:
    returns = listening()
    returns.narrowed(ALL, FLAT, has_room=True)
    allowed = ALL.copy()
    allowed[v.NOTE_OFF : v.TIME_SHIFT] = False
    allowed[v.NOTE_ON + THEME[0]] = False
    left = returns.narrowed(allowed, FLAT, has_room=True)
    assert np.flatnonzero(left).tolist() == [v.TIME_SHIFT + 21]  # when it would be let go
    returns.take(v.TIME_SHIFT + 21)
    left = returns.narrowed(allowed, FLAT, has_room=True)
    assert np.flatnonzero(left).tolist() == [v.TIME_SHIFT + 22]  # when the next key is due


def test_where_no_time_may_pass_the_key_is_struck_sooner() -> None:
    returns = listening()
    returns.narrowed(ALL, FLAT, has_room=True)
    returns.take(v.NOTE_ON + THEME[0])
    allowed = ALL.copy()
    allowed[v.NOTE_OFF : v.VELOCITY] = False
    left = returns.narrowed(allowed, FLAT, has_room=True)
    assert np.flatnonzero(left).tolist() == [v.NOTE_ON + THEME[1]]


def test_the_opening_comes_back_half_of_the_time() -> None:
    starts = []
    for seed in range(300):
        returns = Returns([*phrase(), *other_phrases(9)], rng=variation_rng(seed, 0))
        for token in other_phrases(30):
            returns.take(token)
            if returns.narrowed(ALL, FLAT, has_room=True) is not ALL:
                played(returns)
                break
        starts += [made.from_step for made in returns.made]
    opening = -SECOND * PHRASE_SECONDS * 10
    assert len(starts) > 250
    assert 0.35 < starts.count(opening) / len(starts) < 0.65


def test_it_lasts_from_one_phrase_to_another() -> None:
    lengths = set()
    for seed in range(60):
        returns = Returns([*phrase(), *other_phrases(9)], rng=variation_rng(seed, 0))
        for token in other_phrases(30):
            returns.take(token)
            if returns.narrowed(ALL, FLAT, has_room=True) is not ALL:
                lengths.add(played(returns)[-1][0])
                break
    ends = [PHRASE_SECONDS * SECOND * n + 45 * 15 for n in range(2)]
    assert lengths == set(ends)
    assert SHORTEST_SECONDS <= PHRASE_SECONDS < LONGEST_SECONDS / 2


QUARTER = SECOND // 2
BAR = 4 * QUARTER


def on_grid(quarter_us: int = 500_000, *changes: tuple[int, int]) -> StepGrid:
    """Bars of four quarters from the beginning of the music on; nine phrases are played."""
    return StepGrid(
        grid=Grid(
            tempo_map=TempoMap.from_changes(480, [(0, quarter_us), *changes]),
            lines_per_quarter=4,
            offset=0,
            share=(1.0,),
            first_line=0,
            bar_tick=0,
            ticks_per_bar=1920,
        ),
        from_us=9 * PHRASE_SECONDS * 1_000_000,
    )


def on_quarters(pitches: Sequence[int] = THEME) -> list[int]:
    """Fifteen quarters and a longer one, in four bars."""
    notes = [(pitch, QUARTER) for pitch in (*pitches, *pitches)][:15]
    return [
        token
        for pitch, wait in (*notes[:14], (notes[14][0], 2 * QUARTER))
        for token in note(pitch, wait)
    ]


def in_bars(grid: StepGrid, extra_steps: int) -> Returns:
    """Standing so many steps behind a bar line, in a breath."""
    primer = [*on_quarters(), *[t for _ in range(8) for t in on_quarters([p + 1 for p in THEME])]]
    returns = Returns(primer, rng=Certain(), grid=grid)
    for token in [t for _ in range(3) for t in on_quarters([p + 1 for p in THEME])]:
        returns.take(token)
    returns.take(v.TIME_SHIFT + extra_steps - 1)
    return returns


@pytest.mark.parametrize("extra", [1, 37, 100])
def test_on_a_grid_it_lies_in_the_bars_as_it_did(extra: int) -> None:
    returns = in_bars(on_grid(), extra)
    left = returns.narrowed(ALL, FLAT, has_room=True)
    wait = min(BAR - extra, v.MAX_SHIFT_STEPS)
    assert left[v.TIME_SHIFT : v.VELOCITY].sum() == wait
    assert left[v.NOTE_ON : v.NOTE_OFF].all()  # until then the music goes on
    for steps in (100, 100)[: (BAR - extra) // 100]:
        returns.take(v.TIME_SHIFT + steps - 1)
    rest = (BAR - extra) % 100
    if rest:
        returns.take(v.TIME_SHIFT + rest - 1)
    found = played(returns)
    assert [step for step, _, _ in found] == [QUARTER * i for i in range(15)]
    (made,) = returns.made
    assert (made.step - made.from_step) % BAR == 0


def test_what_had_another_tempo_does_not_come_back_on_a_grid() -> None:
    slower = on_grid(500_000, (4 * 1920, 600_000))
    returns = in_bars(slower, 37)
    assert returns.narrowed(ALL, FLAT, has_room=True) is ALL


def growth(opening: Opening, *, end_seconds: int = 400, **sampling: object) -> Growth:
    return Growth(
        opening,
        limits=Limits(end_step=end_seconds * SECOND),
        sampling=SamplingOptions(**sampling),  # type: ignore[arg-type]
        rng=variation_rng(3, 0),
    )


OPENING = Opening(tokens=(v.BOS, *phrase(), *other_phrases(8)), sounding={}, velocity_bin=16)


def follow(growing: Growth, tokens: Sequence[int], *, reaching: float = 1.0) -> Growth:
    """Play what is given wherever nothing comes back."""
    for token in tokens:
        if growing.progress > reaching or growing.music.returns:
            break
        growing.choose(FLAT)
        growing.take(token)
    return growing


def test_new_music_comes_back_and_says_where() -> None:
    growing = follow(growth(OPENING), other_phrases(40))
    (made,) = growing.music.returns
    assert made.step >= OWN_SECONDS * SECOND
    assert made.from_step <= made.step - AGO_SECONDS * SECOND


@pytest.mark.parametrize(
    "sampling", [{"come_back": False}, {"temperature": 0.0}, {"top_k": 1}], ids=str
)
def test_it_does_not_where_it_is_not_wanted(sampling: dict[str, object]) -> None:
    assert follow(growth(OPENING, **sampling), other_phrases(40)).music.returns == []


def test_it_does_not_in_a_gap() -> None:
    tokens = (*OPENING.tokens, SUFFIX, v.VELOCITY + 16, v.NOTE_ON + 60, MIDDLE)
    gap = replace(OPENING, tokens=(*tokens, *length_ids(400 * SECOND)))
    assert follow(growth(gap), other_phrases(40)).music.returns == []


def test_it_does_not_just_before_the_end() -> None:
    late = growth(OPENING, end_seconds=OWN_SECONDS + PHRASE_SECONDS)
    assert (OWN_SECONDS + 4) / (OWN_SECONDS + PHRASE_SECONDS) > LATEST_RETURN
    assert follow(late, other_phrases(3)).music.returns == []


def test_where_an_end_is_looked_for_nothing_is_due_any_more() -> None:
    growing = follow(growth(OPENING), other_phrases(40)).set_free()
    assert growing.music.returns
    assert len({growing.choose(FLAT) for _ in range(40)}) > 10


def test_branches_come_back_by_themselves() -> None:
    growing = growth(OPENING)
    branch = growing.branch(variation_rng(4, 0))
    follow(branch, other_phrases(40))
    assert branch.music.returns
    assert not growing.music.returns
