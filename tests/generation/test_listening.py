"""Given events are appended to their own decodes, of which each is told just before."""

from types import SimpleNamespace

import numpy as np

from perceiver_music.generation.listening import heard_side_by_side
from tests.generation.toy_decoder import ToyDecoder


class Remembering(ToyDecoder):
    """Its logits are what it was given."""

    def __init__(self) -> None:
        self.company: list[int] = []

    def advance(self, state: SimpleNamespace, token: int) -> None:
        state.logits = np.append(state.logits, token)

    def advance_many(self, states: list[SimpleNamespace], tokens: list[int]) -> None:
        self.company.append(len(states))
        super().advance_many(states, tokens)


def test_each_decode_hears_its_own_events() -> None:
    model = Remembering()
    events = [[1, 2, 3], [], [4]]
    states = [SimpleNamespace(logits=np.zeros(0)) for _ in events]
    told = [
        (which, token, states[which].logits.tolist())
        for which, token in heard_side_by_side(model, states, events)  # type: ignore[arg-type]
    ]
    assert told == [(0, 1, []), (2, 4, []), (0, 2, [1]), (0, 3, [1, 2])]
    assert [state.logits.tolist() for state in states] == events
    assert model.company == [2, 1, 1]


def test_of_nothing_nothing_is_told() -> None:
    assert list(heard_side_by_side(Remembering(), [], [])) == []  # type: ignore[arg-type]
