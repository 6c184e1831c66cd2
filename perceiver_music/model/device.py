"""Which device computes, and in which precision."""

from __future__ import annotations

import torch

from perceiver_music.errors import UnavailableError, UsageError


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; `auto` takes the first of cuda, mps, cpu.

    Raises:
        UsageError: it is not the name of a device.
        UnavailableError: this machine has none of that kind.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(
            f"{name!r} is not a device", hint="Use auto, cpu, cuda, cuda:1 or mps."
        ) from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"{name!r} is not a device we run on", hint="Use auto, cpu, cuda or mps.")
    if not _is_there(device):
        raise UnavailableError(
            f"there is no {name} on this machine, or torch was installed without it",
            hint="Use --device auto.",
        )
    return device


def _is_there(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    return device.type == "cpu" or torch.backends.mps.is_available()


def choose_precision(name: str, device: torch.device) -> str:
    """`fp32` or `bf16`; `auto` is bf16 where the device computes in it, not where it emulates it.

    Raises:
        UsageError: there is no such precision.
    """
    if name not in ("auto", "fp32", "bf16"):
        raise UsageError(f"there is no precision {name!r}", hint="Use auto, fp32 or bf16.")
    if name != "auto":
        return name
    if device.type == "cuda":
        is_fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        is_fast = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    else:
        is_fast = False
    return "bf16" if is_fast else "fp32"
