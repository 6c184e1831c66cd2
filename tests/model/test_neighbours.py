"""Neighbours against a plain account of them, and what a context key is made of."""

import torch

from perceiver_music.model.event_layout import EventLayout
from perceiver_music.model.neighbours import NeighbourTable, last_onsets, neighbours
from perceiver_music.model.perceiver_ar import PerceiverAR, PerceiverARConfig

LAYOUT = EventLayout(
    note_on=0,
    note_off=4,
    time_shift=8,
    velocity=12,
    suffix=16,
    middle=17,
    num_pitches=4,
    num_shifts=4,
    num_velocities=4,
)
VOCABULARY = 20


def onsets_by_hand(tokens: list[int]) -> list[int]:
    onsets = [token + 1 for token in tokens if 0 <= token < 4]
    return [0, 0, *onsets][:-3:-1]


def test_onsets_and_neighbours_are_those_of_a_plain_account() -> None:
    torch.manual_seed(0)
    tokens = torch.randint(VOCABULARY, (3, 60))
    found, around = last_onsets(tokens, LAYOUT).tolist(), neighbours(tokens, LAYOUT).tolist()
    for row, sequence in enumerate(tokens.tolist()):
        for i in range(len(sequence)):
            assert found[row][i] == onsets_by_hand(sequence[: i + 1])
            before = sequence[i - 1] + 1 if i else 0
            assert around[row][i] == [before, *onsets_by_hand(sequence[:i])]


def test_what_is_hidden_is_no_neighbour() -> None:
    tokens = torch.tensor([[3, 2, 9, 1, 9]])
    visible = torch.tensor([[True, True, False, False, True]])
    assert neighbours(tokens, LAYOUT, visible)[0].tolist() == [
        [0, 0, 0],
        [4, 4, 0],
        [3, 3, 4],
        [0, 3, 4],
        [0, 3, 4],
    ]


def test_every_neighbour_has_a_row_of_its_own() -> None:
    table = NeighbourTable(LAYOUT, VOCABULARY, width=3)
    largest = torch.tensor([[[VOCABULARY, 4, 4]]])
    rows = torch.cat((table.rows(torch.zeros_like(largest)), table.rows(largest)))
    assert rows[:, 0].T.tolist() == [[0, 20], [21, 25], [26, 30]]
    assert table.num_embeddings == 31


def test_a_key_is_the_sum_of_its_token_and_neighbours() -> None:
    torch.manual_seed(0)
    config = PerceiverARConfig.modern(
        vocabulary_size=VOCABULARY,
        width=16,
        num_heads=2,
        num_layers=1,
        context=12,
        latents=4,
        events=LAYOUT,
        neighbour_keys=True,
    )
    model = PerceiverAR(config)
    cross = model.cross
    assert cross.neighbours is not None
    torch.nn.init.normal_(cross.neighbours.weight)
    tokens = torch.randint(VOCABULARY, (2, 12))
    events = model._count(tokens, 4)
    angles = model._angles(0, 12, events)
    table = model._context_table()
    key, ids = model._context(table, tokens, angles, events)
    context = cross.context_norm(model.embedding_norm(model.embedding(tokens)))
    assert events is not None
    parts = cross.neighbours(cross.neighbours.rows(events.neighbours))
    torch.testing.assert_close(events.neighbours, neighbours(tokens, LAYOUT))
    expected = cross.attention.key(context) + parts.sum(-2)
    torch.testing.assert_close(key, cross.attention.rotate_heads(expected, angles))
    values = cross.attention.split_heads(cross.attention.value(context))
    torch.testing.assert_close(cross.values(table, ids), values)
