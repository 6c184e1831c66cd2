"""What stands just before each token: the token before it and the last two onsets.

The keys of a context know their own token and nothing else, so that in a long one the latents
find notes, but no phrases. With its neighbours in each key, "what came next when this was played
before?" is one look (the smeared keys of Olsson et al. 2022, arXiv 2209.11895, on onsets).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor, nn

from perceiver_music.model.event_layout import EventLayout

NUM_ONSETS = 2
_NO_TOKEN = -1


def last_onsets(
    tokens: Int[Tensor, "batch length"], layout: EventLayout
) -> Int[Tensor, "batch length 2"]:
    """The last two onsets up to each position, itself included: pitch + 1, or 0 for none."""
    pitch = tokens - layout.note_on + 1
    is_onset = (pitch >= 1) & (pitch <= layout.num_pitches)
    place = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
    last = torch.where(is_onset, place, 0).cummax(-1).values
    # The one before the last onset is the last one as of the place before it.
    second = F.pad(last, (1, 0)).gather(1, (last - 1).clamp_min(0)) * (last > 0)
    pitch = F.pad(torch.where(is_onset, pitch, 0), (1, 0))
    # Along the first dimension: a GPU is ten times slower at putting single numbers together.
    return torch.stack((pitch.gather(1, last), pitch.gather(1, second))).movedim(0, -1)


def neighbours(
    tokens: Int[Tensor, "batch length"], layout: EventLayout, visible: Tensor | None = None
) -> Int[Tensor, "batch length 3"]:
    """Of each position the token before it plus 1, and the last two onsets before it; 0 for none.

    What is not visible is nobody's neighbour.
    """
    if visible is not None:
        tokens = torch.where(visible, tokens, _NO_TOKEN)
    onsets = last_onsets(tokens, layout).movedim(-1, 0)
    found = torch.cat(((tokens + 1)[None], onsets))
    return F.pad(found[..., :-1], (1, 0)).movedim(0, -1)


class NeighbourTable(nn.Embedding):
    """A vector for each neighbour that there can be; those of a position are added up."""

    def __init__(self, layout: EventLayout, vocabulary_size: int, width: int) -> None:
        sizes = [vocabulary_size + 1] + [layout.num_pitches + 1] * NUM_ONSETS
        super().__init__(sum(sizes), width)
        nn.init.zeros_(self.weight)
        first = [sum(sizes[:kind]) for kind in range(len(sizes))]
        self.register_buffer("first_row", torch.tensor(first), persistent=False)
        self.first_row: Tensor

    def rows(self, found: Int[Tensor, "batch length 3"]) -> Int[Tensor, "batch length 3"]:
        """Which rows are those of `neighbours`."""
        return found + self.first_row
