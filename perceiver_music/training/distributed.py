"""One process, or several under `torchrun`: who we are, and sums over all of us."""

from __future__ import annotations

import atexit
import gc
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from perceiver_music.errors import UnavailableError, UsageError
from perceiver_music.training.torchrun import local_rank, world_size


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and speaks."""
        return self.rank == 0

    def rows(self, num_rows: int) -> range:
        """The rows of a global batch that fall to this rank.

        Raises:
            UsageError: they cannot be dealt evenly.
        """
        if num_rows % self.world_size:
            raise UsageError(
                f"{num_rows} windows a step cannot be dealt to {self.world_size} processes evenly",
                hint="Set windows.windows_per_step to a multiple of the number of processes.",
            )
        share = num_rows // self.world_size
        return range(self.rank * share, (self.rank + 1) * share)

    def sum(self, *numbers: float, device: torch.device) -> list[float]:
        """Each number summed over all ranks, in float64."""
        if self.world_size == 1:
            return list(numbers)
        tensor = torch.tensor(numbers, dtype=torch.float64, device=device)
        dist.all_reduce(tensor)
        return tensor.tolist()

    def gather(self, numbers: Sequence[float], *, device: torch.device) -> list[list[float]]:
        """The numbers of every rank, as many on each."""
        table = [0.0] * (len(numbers) * self.world_size)
        table[self.rank * len(numbers) : (self.rank + 1) * len(numbers)] = numbers
        table = self.sum(*table, device=device) if table else table
        size = len(numbers)
        return [table[rank * size : (rank + 1) * size] for rank in range(self.world_size)]


def own_device(device: torch.device) -> torch.device:
    """The device of this process: under `torchrun`, the GPU of its local rank.

    Raises:
        UsageError: several processes cannot compute there.
    """
    if device.type == "cpu" or world_size() == 1:
        return device
    if device.type != "cuda":
        raise UsageError(
            f"several processes cannot train together on {device.type}",
            hint="Give --device cpu, or start one process alone, without torchrun.",
        )
    if device.index is not None:
        raise UsageError(
            f"several processes cannot train together on {device}: each takes a GPU of its own",
            hint="Give --device cuda; CUDA_VISIBLE_DEVICES says which GPUs there are to take.",
        )
    own = torch.device("cuda", local_rank())
    torch.cuda.set_device(own)
    return own


@contextmanager
def process_group(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that `torchrun` started, if it did; leave them at the end.

    Raises:
        UsageError: the environment does not say where they meet.
        UnavailableError: another of them is gone.
    """
    if world_size() == 1:
        yield Ranks()
        return
    with _killed_by_sigterm():
        _join("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(
            rank=dist.get_rank(),
            world_size=dist.get_world_size(),
            local_rank=local_rank(),
        )
    except RuntimeError as error:
        if not _is_of_a_lost_process(error):
            raise
        raise UnavailableError(
            "another process of this training is gone",
            hint="Start all of them again with --resume.",
        ) from error
    finally:
        _left.append(dist.group.WORLD)
        dist.destroy_process_group()


def _join(backend: str) -> None:
    try:
        dist.init_process_group(backend)
    except ValueError as error:  # of a variable that is missing, or is no number
        raise UsageError(
            f"the environment has WORLD_SIZE={world_size()}, but not all that torchrun says: "
            f"{error}",
            hint="Start several processes with torchrun, or one after `unset WORLD_SIZE`.",
        ) from error


_left: list[object] = []
"""Handles of the groups that were left, for whoever lets go of a group last waits for its threads.

Such a thread may need the interpreter's lock to drop a tensor. Python's handle waits without that
lock; DistributedDataParallel, which outlives the group here, waits with it, sometimes for ever.
"""


@atexit.register
def _let_go_of_groups() -> None:
    """While a thread can still get the lock: one that asks for it later is killed, and aborts."""
    gc.collect()  # what else holds a group comes first
    _left.clear()


@contextmanager
def _killed_by_sigterm() -> Iterator[None]:
    """While waiting for the others below Python, where no handler of ours would get its turn."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_of_a_lost_process(error: RuntimeError) -> bool:
    """Whether the other end of a connection went away; gloo has no class for it."""
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()
