"""Compiles the native decoder where there is a compiler; without one, everything works without it.

    python -m perceiver_music.model.native.compile

The build of a wheel and of an editable installation does the same (`hatch_build.py`). Nothing here
knows the machine that it runs on: the library holds code for several kinds of processor and
chooses when it is loaded.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCE = FOLDER / "source"
LIBRARY = FOLDER / "_decoder.so"

# Loops on a cache line's border: off it an event at 32,768 takes a tenth longer on a Zen 4, as it
# may by any change elsewhere in the code.
_FLAGS = ("-std=gnu11", "-O3", "-falign-loops=64", "-fPIC", "-fvisibility=default", "-Wno-psabi")
_AVX2 = ("-mavx2", "-mfma")
_AVX512 = (*_AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl")
_KINDS = {"avx2": _AVX2, "avx512": _AVX512, "avx512vnni": (*_AVX512, "-mavx512vnni")}
_X86 = ("x86_64", "amd64", "i386", "i686")
_MOST_SECONDS = 300


class CannotCompile(Exception):
    """There is no compiler, or it does not accept the source."""


def compile_library(library: Path = LIBRARY) -> None:
    """Compile the library and put it in its place in one move.

    Raises:
        CannotCompile: saying why.
    """
    compiler = _compiler()
    with _temporary_folder(library.parent) as folder:
        objects = []
        kinds: dict[str, tuple[str, ...]] = {"generic": ()}
        defines: tuple[str, ...] = ()
        if platform.machine().lower() in _X86:
            kinds |= _KINDS
            defines = ("-DPM_X86",)
        for kind, flags in kinds.items():
            names = (f"-DPM_KERNELS=pm_kernels_{kind}", f'-DPM_NAME="{kind}"')
            target = folder / f"kernels_{kind}.o"
            _run(*compiler, *_FLAGS, *defines, *flags, *names, "-c", SOURCE / "kernels.c", target)
            objects.append(target)
        for name in ("packing", "model", "tables", "decode", "choose"):
            target = folder / f"{name}.o"
            _run(*compiler, *_FLAGS, *defines, "-c", SOURCE / f"{name}.c", target)
            objects.append(target)
        made = folder / library.name
        _run(*compiler, "-shared", *objects, "-lm", made)
        try:
            made.replace(library)
        except OSError as error:
            raise CannotCompile(f"cannot write {library}: {error}") from None


def _compiler() -> list[str]:
    """The compiler that the user or Python names, or one of the usual names."""
    named = os.environ.get("CC") or sysconfig.get_config_var("CC") or ""
    for words in (shlex.split(named)[:1], ["cc"], ["gcc"], ["clang"]):
        if words and shutil.which(words[0]):
            return words
    raise CannotCompile("there is no C compiler")


def _run(*words: object) -> None:
    *inputs, output = map(str, words)
    try:
        done = subprocess.run(
            [*inputs, "-o", output], capture_output=True, text=True, timeout=_MOST_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotCompile(str(error)) from None
    if done.returncode:
        raise CannotCompile(done.stderr.strip() or f"{inputs[0]} failed")


@contextlib.contextmanager
def _temporary_folder(beside: Path) -> Iterator[Path]:
    """A folder on the same disk as the library, so that the last step is one move."""
    try:
        with tempfile.TemporaryDirectory(dir=beside, prefix=".compiling-") as name:
            yield Path(name)
    except OSError as error:
        raise CannotCompile(f"cannot write in {beside}: {error}") from None


def main() -> int:
    """Compile, and say how it went."""
    try:
        compile_library()
    except CannotCompile as error:
        sys.stderr.write(f"the native decoder was not compiled: {error}\n")
        return 1
    sys.stderr.write(f"compiled {LIBRARY.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
