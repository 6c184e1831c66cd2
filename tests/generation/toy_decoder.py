"""What decoders of a few lines have in common: their state is all that they know."""

from types import SimpleNamespace


class ToyDecoder:
    """See `model.decoding.Decoder`; who inherits says how a decode begins and goes on."""

    def branch(self, state: SimpleNamespace) -> SimpleNamespace:
        return SimpleNamespace(**vars(state))

    def advance(self, state: SimpleNamespace, token: int) -> None:
        raise NotImplementedError

    def advance_many(self, states: list[SimpleNamespace], tokens: list[int]) -> None:
        for state, token in zip(states, tokens, strict=True):
            self.advance(state, token)
