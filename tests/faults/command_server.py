"""A process that has imported everything and forks into a command of the program when it is told.

A fresh interpreter with torch takes three seconds; a fork takes some hundredths. What runs in the
fork is the whole command line, from its words to its exit code. `commands.py` is the other end:
one JSON object a line comes in by standard input, one goes out for each.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import gc
import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from typing import Any

STILL_RUNNING = 0.001


def serve() -> None:
    """Take orders until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    orders = os.fdopen(os.dup(0), "r")
    for line in orders:
        order = json.loads(line)
        answer = _start(order) if order["do"] == "start" else _wait(order["pid"], order["seconds"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _start(order: dict[str, Any]) -> dict[str, int]:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = _become(order)
        except BaseException:
            traceback.print_exc()
        finally:
            _leave(code)
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    return {"pid": pid}


def _leave(code: int) -> None:
    """End as an interpreter does, but for taking apart all that was imported, which is slow."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _wait(pid: int, seconds: float) -> dict[str, Any]:
    """How a process ended; `pid` -1 is whichever ends first."""
    end = time.monotonic() + seconds
    while True:
        try:
            found, status, usage = os.wait4(pid, os.WNOHANG)
        except ChildProcessError:
            return {"pid": 0}
        if found:
            return {
                "pid": found,
                "code": os.waitstatus_to_exitcode(status),
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "peak_bytes": usage.ru_maxrss << (0 if sys.platform == "darwin" else 10),
            }
        if time.monotonic() > end:
            return {"pid": 0}
        time.sleep(STILL_RUNNING)


def _become(order: dict[str, Any]) -> int:
    """Be the command, as a shell would have started it."""
    os.setpgid(0, 0)
    for number in (signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if order["limits"]:
        for name, most in order["limits"].items():
            resource.setrlimit(getattr(resource, name), (most, most))
    os.environ.update(order["environment"])
    for name in order["without"]:
        os.environ.pop(name, None)
    os.chdir(order["folder"])
    _connect(order["streams"])
    if sys.stderr is not None:
        faulthandler.register(signal.SIGUSR1)
    if order["setup"]:
        module, _, function = order["setup"].partition(":")
        getattr(importlib.import_module(module), function)(*order["setup_arguments"])
    if order["faults"]:
        arm(**order["faults"])
    from perceiver_music.cli import app

    sys.argv = ["perceiver-music", *order["words"]]
    return app.run(order["words"])


def _connect(streams: list[str | None]) -> None:
    flags = (os.O_RDONLY, *2 * (os.O_WRONLY | os.O_CREAT | os.O_TRUNC,))
    for number, path in enumerate(streams):
        os.close(number)
        if path is not None:
            opened = os.open(path, flags[number], 0o666)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    text = {"encoding": "utf-8", "errors": "surrogateescape"}
    sys.stdin = open(0, **text) if streams[0] else None  # type: ignore[call-overload]  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8") if streams[1] else None  # noqa: SIM115
    sys.stderr = (  # type: ignore[assignment]
        open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
        if streams[2]
        else None
    )


def arm(
    folder: str, letters: str, at: int, times: int, error: int, signal_number: int, log: str
) -> None:
    """Have the preloaded library of `storage_faults.c` strike in this process."""
    import ctypes

    strike = ctypes.CDLL(None).faults_arm
    texts = [os.fsencode(text) for text in (folder, letters)]
    strike(*texts, ctypes.c_long(at), ctypes.c_long(times), error, signal_number, os.fsencode(log))


def warm_up() -> None:
    """Import what any command may need, so that a fork need not."""
    import perceiver_music.cli.app

    names = ["numpy", "soundfile", "torch", "safetensors.torch"]
    with contextlib.suppress(ImportError):
        importlib.import_module("torch.utils.tensorboard")
    package = os.path.dirname(os.path.dirname(perceiver_music.cli.app.__file__))  # noqa: PTH120
    for folder, _, files in os.walk(package):
        for file in sorted(files):
            if file.endswith(".py") and not file.startswith("__"):
                path = os.path.relpath(os.path.join(folder, file), package)  # noqa: PTH118
                names.append("perceiver_music." + path[:-3].replace(os.sep, "."))
    for name in names:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    gc.freeze()  # a collection in a fork would copy every page


if __name__ == "__main__":
    warm_up()
    print("ready", flush=True)  # noqa: T201
    serve()
