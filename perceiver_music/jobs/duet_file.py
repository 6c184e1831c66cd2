"""A conversation as a MIDI file: each on a channel of their own, and a note of who is where."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceiver_music.music.performance import Performance

DUET_SCHEMA: Final = "perceiver-music-duet/1"
DUET: Final = "duet"
"""The command, as the settings inside a file name it."""
ANSWERS_CHANNEL: Final = 2
"""Where the machine plays; MIDI's channels count from 1."""


def duet_midi(
    player: Performance,
    answers: Performance,
    *,
    player_pedals: Sequence[tuple[int, int, int]] = (),
    title: bytes,
    settings: dict[str, Any],
) -> bytes:
    """The whole file.

    Args:
        player: on channel 1.
        answers: on channel 2.
        player_pedals: (microseconds, controller, value) of the player's other pedals.
        title: of the piece that was played, as its file has it; empty without one.
        settings: what else is told of how it was made.
    """
    from perceiver_music.music.embedded import Embedded, with_embedded
    from perceiver_music.music.midi_parts import parts_to_midi

    parts = {"schema": DUET_SCHEMA, "command": DUET, "answers_channel": ANSWERS_CHANNEL, **settings}
    text = json.dumps(parts, sort_keys=True)
    midi = parts_to_midi([player, answers], title=title, controls=player_pedals)
    return with_embedded(midi, Embedded(settings=text, deflated_primer=None))
