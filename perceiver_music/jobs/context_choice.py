"""How much context a user may choose: what a checkpoint was trained with, and somewhat beyond."""

from __future__ import annotations

from typing import Final

from perceiver_music.errors import UsageError
from perceiver_music.model.checkpoint_description import CheckpointDescription

MOST_TIMES_TRAINED: Final = 16
"""Beyond, predictions are worth nothing, and the memory for them can end the machine."""


def doubt_about_context(context: int | None, description: CheckpointDescription) -> str | None:
    """What the user should know about the `--context` that was asked for; None if nothing.

    Raises:
        UsageError: it is so large that nothing can come of it.
    """
    config = description.fields.get("config", {})
    trained, least = config.get("context"), config.get("latents")
    if context is None or not isinstance(trained, int):
        return None
    if context > MOST_TIMES_TRAINED * trained:
        raise UsageError(
            f"--context {context} is far more than the {trained:,} events that the checkpoint was "
            "trained with",
            hint=f"Use {trained} or less.",
        )
    if context > trained:
        return (
            f"--context {context} is more than the {trained:,} events that the checkpoint was "
            "trained with; what it plays may be worse for it"
        )
    if isinstance(least, int) and context < least:
        return (
            f"--context {context} is short: the music will hardly remember what came before (the "
            f"checkpoint was trained with up to {trained:,} events)"
        )
    return None
