"""`train`: a token store in, a run folder with metrics, saved steps and a checkpoint out.

run.json        the complete recipe, the data and the version
metrics.jsonl   one report a line
tensorboard/    the same for TensorBoard, when it is installed
steps/          the newest saved states, to resume from
checkpoint/     the best weights on validation, ready to use
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from perceiver_music.errors import UsageError
from perceiver_music.folders import remove_leavings
from perceiver_music.jobs.progress import (
    Progress,
    ProgressCallback,
    WarningCallback,
    no_progress,
    no_warning,
)
from perceiver_music.jobs.train_plan import TrainPlan, default_recipe, plan_of
from perceiver_music.jobs.train_request import TrainRequest
from perceiver_music.jobs.train_settings import RUNS_FOLDER
from perceiver_music.locks import exclusive_lock
from perceiver_music.training.run_file import (
    check_run_folder,
    fresh_run_folder,
    newest_run,
    read_run_file,
    write_run_file,
)

if TYPE_CHECKING:
    import torch

    from perceiver_music.dataset.token_store import TokenStore
    from perceiver_music.training.distributed import Ranks
    from perceiver_music.training.loop import TrainingLoop
    from perceiver_music.training.metrics import TrainingReport

DATA_FOLDER: Final = Path("data")


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """The last report of the run; `is_first_rank` tells who among several is to speak."""

    report: TrainingReport
    max_steps: int
    data: Path
    seed: int
    checkpoint_sha256: str | None
    is_first_rank: bool

    def as_json(self) -> dict[str, Any]:
        """The fields of `train --json`: those of `metrics.jsonl`, seed and checkpoint's hash."""
        more = {"seed": self.seed, "checkpoint_sha256": self.checkpoint_sha256}
        return {**self.report.as_json(), **more}


def run(
    request: TrainRequest,
    on_progress: ProgressCallback = no_progress,
    warn: WarningCallback = no_warning,
) -> TrainResult:
    """Train to the end of the schedule, of the time, or until a signal.

    Raises:
        UsageError, InvalidInputError: the request, recipe, store or run cannot be used.
        OutputExistsError: the run folder holds a run and `resume` was not asked for.
        BusyError: another process trains in the run folder.
        NonFiniteError: the training diverged.
        UnavailableError: another process of the same training is gone.
        StoppedBySignalError: SIGINT or SIGTERM; the run is saved.
    """
    from perceiver_music.dataset.token_store import TokenStore
    from perceiver_music.model.checkpoint_description import read_description
    from perceiver_music.model.device import choose_device
    from perceiver_music.training.distributed import own_device, process_group
    from perceiver_music.training.run_state import STEPS_FOLDER

    device = own_device(choose_device(request.device))
    run_folder = _run_folder(request, device)
    store = TokenStore.open(request.data or _data_of(request, run_folder))
    plan = plan_of(request, run_folder, device, store)
    config = plan.config
    with ExitStack() as stack:
        ranks = stack.enter_context(process_group(device))
        if ranks.is_first:
            stack.enter_context(exclusive_lock(run_folder))
            remove_leavings(run_folder, run_folder / STEPS_FOLDER)
        loop = _prepare(request, run_folder, plan, store, device, ranks, warn)
        if not request.resume:
            loop.save(0.0)  # first of all: from here on a run that is killed can be resumed
        if ranks.is_first:
            write_run_file(
                run_folder,
                config,
                store,
                started_from=plan.started_from,
                teacher_folders=plan.teacher_folders,
            )
        report = _train(loop, plan, store, on_progress, warn)
    return TrainResult(
        report=report,
        max_steps=config.schedule.max_steps,
        data=store.path,
        seed=config.run.seed,
        checkpoint_sha256=report.checkpoint and read_description(report.checkpoint).sha256,
        is_first_rank=ranks.is_first,
    )


def _run_folder(request: TrainRequest, device: torch.device) -> Path:
    folder = request.output
    if folder is None and request.resume:
        folder = newest_run(RUNS_FOLDER)
    elif folder is None:
        folder = fresh_run_folder(RUNS_FOLDER, Path(request.recipe or default_recipe(device)).stem)
    check_run_folder(folder, resume=request.resume)
    return folder


def _data_of(request: TrainRequest, run_folder: Path) -> Path:
    """The store of a run, or the only one in `data/`."""
    if request.resume:
        return Path(read_run_file(run_folder).data_path)
    stores = sorted(DATA_FOLDER.glob("*.store"))
    if len(stores) == 1:
        return stores[0]
    raise UsageError(
        f"there are {len(stores)} token stores in data/, not one",
        hint="Name one with --data; `perceiver-music preprocess` makes them.",
    )


def _prepare(
    request: TrainRequest,
    run_folder: Path,
    plan: TrainPlan,
    store: TokenStore,
    device: torch.device,
    ranks: Ranks,
    warn: WarningCallback,
) -> TrainingLoop:
    """The loop, at its first step or where the run stood."""
    import torch

    from perceiver_music.model.device import choose_precision
    from perceiver_music.tokenizer.registry import get_tokenizer
    from perceiver_music.training.distillation import load_teachers
    from perceiver_music.training.loop import LoopSetting, TrainingLoop
    from perceiver_music.training.memory import keep_freed_memory
    from perceiver_music.training.network import fresh_network
    from perceiver_music.training.resuming import check_resumed
    from perceiver_music.training.run_state import load_newest

    keep_freed_memory()
    config = plan.config
    tokenizer = get_tokenizer(store.tokenizer_name)
    teachers = load_teachers(config, plan.teacher_folders, tokenizer, device)
    saved = load_newest(run_folder, warn) if request.resume else None
    precision: str = config.run.precision
    if saved is not None:
        check_resumed(saved, config, store, teachers, ranks, run_folder, warn)
        torch.set_num_threads(saved.counts.num_threads)
        precision = saved.counts.precision if precision == "auto" else precision
    torch.manual_seed(config.run.seed)
    model = plan.model or fresh_network(config.model, tokenizer)
    setting = LoopSetting(
        run_folder=run_folder,
        device=device,
        precision=choose_precision(precision, device),
        ranks=ranks,
        teachers=teachers,
        max_minutes=request.max_minutes,
    )
    return TrainingLoop(model.to(device), store, config, setting, saved)


def _train(
    loop: TrainingLoop,
    plan: TrainPlan,
    store: TokenStore,
    on_progress: ProgressCallback,
    warn: WarningCallback,
) -> TrainingReport:
    from perceiver_music.training.course import follow
    from perceiver_music.training.export import BestCheckpoint

    latest = ""

    def tell(step: int) -> None:
        total = plan.config.schedule.max_steps
        on_progress(Progress(done=step, total=total, unit="steps", message=latest))

    def on_report(report: TrainingReport) -> None:
        nonlocal latest
        latest = _in_words(report)
        tell(report.step)

    export = BestCheckpoint(loop, store, plan.started_from, warn)
    with closing(loop):
        return follow(loop, on_step=tell, on_report=on_report, export=export)


def _in_words(report: TrainingReport) -> str:
    nats = {"train": report.train_nats_per_event, "validation": report.validation_nats_per_event}
    parts = [f"{name} {value:.3f}" for name, value in nats.items() if value is not None]
    if report.loss_tokens_per_second:  # none before the first step
        parts.append(f"{report.loss_tokens_per_second:,.0f} events/s")
    return " · ".join(parts)
