"""An end is looked for in the last part: a chord that rings out inside the length."""

from types import SimpleNamespace

import numpy as np
import pytest

from perceiver_music.generation.continuation import continue_events
from perceiver_music.generation.ending import (
    LONGEST_RING_STEPS,
    SHORTEST_RING_STEPS,
    EndingSearch,
)
from perceiver_music.generation.growth import Continuation, Growth
from perceiver_music.generation.last_chord import Tonic, pitches_of
from perceiver_music.generation.last_part import ending_begins
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import EMPTY_OPENING, Opening, PedalInForce
from perceiver_music.generation.sampling import variation_rng
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.performance_events import decode
from tests.generation.toy_decoder import ToyDecoder

C_MAJOR = (0, 2, 4, 5, 7, 9, 11)
NEVER = -30.0


class Scales(ToyDecoder):
    """A decoder that plays C major, a note every fifth of a second.

    After a C that rings for a second it plays no other, and is sure that the piece is over.
    """

    def begin(self, tokens: tuple[int, ...], **_: object) -> SimpleNamespace:
        state = SimpleNamespace(last=0, held=0, struck=False, logits=np.zeros(0))
        self._predict(state)
        return state

    def advance(self, state: SimpleNamespace, token: int) -> None:
        state.struck = False
        if v.NOTE_ON <= token < v.NOTE_OFF:
            state.last, state.held, state.struck = token - v.NOTE_ON, 0, True
        elif v.TIME_SHIFT <= token < v.VELOCITY:
            state.held += token - v.TIME_SHIFT + 1
        self._predict(state)

    def _predict(self, state: SimpleNamespace) -> None:
        logits = np.full(v.VOCABULARY_SIZE, NEVER)
        is_c = state.last % 12 == 0
        if state.struck:
            logits[v.TIME_SHIFT + 19] = 4.0
            logits[v.TIME_SHIFT + 99] = 0.0 if is_c else -8.0
        else:
            logits[v.VELOCITY : v.VELOCITY + 2] = 0.0
            logits[[v.NOTE_ON + 60 + step for step in C_MAJOR]] = 5.0
            logits[v.NOTE_OFF : v.TIME_SHIFT] = 3.0
            if is_c and state.held >= 100:
                logits[v.TIME_SHIFT + 99] = 9.0
                logits[v.EOS] = 12.0
        state.logits = logits


class WideScales(Scales):
    """The same over five octaves, and keys are let go soon, so that most are free."""

    def _predict(self, state: SimpleNamespace) -> None:
        super()._predict(state)
        if not state.struck:
            keys = [v.NOTE_ON + pitch for pitch in range(36, 97) if pitch % 12 in C_MAJOR]
            state.logits[keys] = 5.0
            state.logits[v.NOTE_OFF : v.TIME_SHIFT] = 9.0


def piece(limits: Limits, *, seed: int = 1, opening: Opening = EMPTY_OPENING) -> Continuation:
    *_, music = continue_events(
        Scales(),
        opening,
        limits=limits,
        sampling=SamplingOptions(),
        rng=variation_rng(seed, 1),
    )
    return music


@pytest.mark.parametrize(
    "unit",
    [{"end_step": 6000}, {"num_events": 900}, {"num_notes": 300}],
    ids=lambda unit: next(iter(unit)),
)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_piece_ends_inside_its_length_and_its_last_chord_rings(
    unit: dict[str, int], seed: int
) -> None:
    limits = Limits(**unit, is_ending_allowed=True)
    music = piece(limits, seed=seed)
    assert music.ended == "ending"
    notes = decode(np.array(music.ids + music.closing, dtype=np.uint16)).notes
    assert len(notes) == music.num_notes
    last = int(notes["start_us"].max())
    ring = (int(notes["end_us"].max()) - last) // v.MICROSECONDS_PER_STEP
    assert SHORTEST_RING_STEPS <= ring <= LONGEST_RING_STEPS
    assert notes["pitch"][np.argmax(notes["start_us"])] == 60
    begins = ending_begins(limits)
    done = limits.progress(events=len(music.ids), notes=music.num_notes, steps=music.step)
    assert begins < done < 1.0
    if limits.end_step is not None:
        assert notes["end_us"].max() <= limits.end_step * v.MICROSECONDS_PER_STEP


def test_all_before_the_last_part_is_as_without_an_ending() -> None:
    limits = Limits(num_events=900)
    ending = piece(Limits(num_events=900, is_ending_allowed=True))
    first = round(900 * ending_begins(limits))
    assert ending.ids[:first] == piece(limits).ids[:first]
    assert ending.ids != piece(limits).ids[: len(ending.ids)]
    again = piece(Limits(num_events=900, is_ending_allowed=True))
    assert (again.ids, again.closing) == (ending.ids, ending.closing)


@pytest.mark.parametrize("steps", [1, 10, 60, 200, 500])
def test_the_shortest_pieces_end_or_are_as_long_as_asked(steps: int) -> None:
    music = piece(Limits(end_step=steps, is_ending_allowed=True))
    assert music.ended in ("ending", "length")
    closing = sum(t - v.TIME_SHIFT + 1 for t in music.closing if v.TIME_SHIFT <= t < v.VELOCITY)
    assert music.step + closing <= steps


def test_what_sounds_from_the_primer_is_let_go_by_its_end() -> None:
    opening = Opening(
        tokens=(v.BOS, v.VELOCITY + 9, v.NOTE_ON + 40, v.TIME_SHIFT + 9),
        sounding={40: 730},
        velocity_bin=9,
    )
    music = piece(Limits(end_step=900, is_ending_allowed=True), opening=opening)
    assert music.ended == "ending"
    assert 0 < music.released[40] <= 730
    assert v.NOTE_OFF + 40 not in music.closing


def test_tokens_that_keep_the_pedal_end_too() -> None:
    class WithPedal(Scales):
        def _predict(self, state: SimpleNamespace) -> None:
            super()._predict(state)
            logits = np.full(v.PEDAL.size, NEVER)
            logits[: v.VELOCITY + 2] = state.logits[: v.VELOCITY + 2]
            logits[v.PEDAL.eos] = state.logits[v.EOS]
            state.logits = logits

    *_, music = continue_events(
        WithPedal(),
        Opening(
            tokens=(v.PEDAL.bos,),
            sounding={},
            velocity_bin=None,
            pedal=PedalInForce(value=0, lift_step=None),
        ),
        limits=Limits(end_step=3000, is_ending_allowed=True),
        sampling=SamplingOptions(),
        rng=variation_rng(1, 1),
    )
    assert music.ended == "ending"
    assert music.ids[-1] == v.NOTE_ON + 60


def test_the_players_are_drawn_towards_the_tonic(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(end_step=3000, is_ending_allowed=True)

    def share_of_its_triad() -> float:
        growth = Growth(
            EMPTY_OPENING, limits=limits, sampling=SamplingOptions(), rng=variation_rng(1, 1)
        )
        model = WideScales()
        state = model.begin(())
        while not growth.is_to_end:
            token = growth.choose(state.logits)
            growth.take(token)
            model.advance(state, token)
        search = EndingSearch(model, growth, state)  # type: ignore[arg-type]
        list(search.rounds())
        played = [
            token - v.NOTE_ON
            for player in search._players
            for token in [t for t in player.growth.music.ids if t < v.NOTE_OFF][-10:]
        ]
        triad = Tonic.of(pitches_of(growth.music.ids)).triad
        return float(np.mean([pitch % 12 in triad for pitch in played]))

    drawn = share_of_its_triad()
    monkeypatch.setattr("perceiver_music.generation.ending._LEAN", 0.0)
    assert drawn > share_of_its_triad() + 0.15
