"""Whether a run can go on with what it is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.errors import InvalidInputError, UsageError
from perceiver_music.training.config import TrainingConfig
from perceiver_music.training.distillation import Teachers
from perceiver_music.training.distributed import Ranks
from perceiver_music.training.run_state import SavedState


def check_resumed(
    saved: SavedState,
    config: TrainingConfig,
    store: TokenStore,
    teachers: Teachers | None,
    ranks: Ranks,
    run_folder: Path,
    warn: Callable[[str], None],
) -> None:
    """Refuse what would not be the same run; warn of what makes it go on differently.

    Raises:
        UsageError: the run has done all its steps.
        InvalidInputError: the store, or a teacher, is another one.
    """
    is_done = saved.counts.step >= config.schedule.max_steps
    if is_done and not saved.counts.is_step_open:
        raise UsageError(
            f"the run is at step {saved.counts.step} already",
            path=run_folder,
            hint="Go further with --max-steps.",
        )
    if saved.counts.data_sha256 != store.sha256:
        raise InvalidInputError(
            "is not the store that this run was trained on",
            path=store.path,
            hint=f"Give the one of {run_folder}, or start a new run with --init.",
        )
    if saved.counts.teachers_sha256 != (teachers.sha256s if teachers else ()):
        raise InvalidInputError(
            "its teachers are not those that it learned from",
            path=run_folder,
            hint="Put the checkpoints of its distillation.teachers back, or start a new run.",
        )
    if saved.counts.world_size != ranks.world_size:
        warn(
            f"the run was trained by {saved.counts.world_size} processes and goes on with "
            f"{ranks.world_size}: equal in mathematics, not bit for bit"
        )
