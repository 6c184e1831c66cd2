"""Compiles the native decoder where there is a compiler; without one, everything works without it.

    python -m perceiver_music.model.native.compile

The build of a wheel and of an editable installation does the same (`hatch_build.py`). Nothing here
knows the machine that it runs on: the library holds code for several kinds of processor and
chooses when it is loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
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
_MOST_SECONDS = 300


class CannotCompile(Exception):
    """There is no compiler, or it does not accept the source."""


class _RefusedByCompiler(CannotCompile):
    """The compiler itself says that it cannot."""


def compile_library(library: Path = LIBRARY) -> tuple[str, ...]:
    """Compile the library and put it in its place in one move.

    Returns:
        The kinds of processor that it has code for. What the compiler does not know, or what is of
        another family than the machine it compiles for, is left out.

    Raises:
        CannotCompile: saying why.
    """
    compiler = [*_compiler(), *_FLAGS]
    with _temporary_folder(library.parent) as folder:
        objects = [_compile_kernels(compiler, "generic", (), folder)]
        kinds = ["generic"]
        for kind, flags in _KINDS.items():
            with contextlib.suppress(_RefusedByCompiler):
                objects.append(_compile_kernels(compiler, kind, flags, folder))
                kinds.append(kind)
        defines = [f"-DPM_HAS_{kind.upper()}" for kind in kinds]
        defines.append(f'-DPM_SOURCES="{hash_of_sources()}"')
        for name in ("packing", "model", "tables", "decode", "choose"):
            target = folder / f"{name}.o"
            _run(*compiler, *defines, "-c", SOURCE / f"{name}.c", target)
            objects.append(target)
        made = folder / library.name
        _run(*compiler, "-shared", *objects, "-lm", made)
        try:
            made.replace(library)
        except OSError as error:
            raise CannotCompile(f"cannot write {library}: {error}") from None
    return tuple(kinds)


def hash_of_sources() -> str | None:
    """SHA-256 of all that decides what is compiled; None where the sources are not there."""
    found = hashlib.sha256(repr((_FLAGS, _KINDS)).encode())
    try:
        for path in sorted(SOURCE.iterdir()):
            if path.suffix in (".c", ".h"):
                found.update(path.name.encode() + b"\0" + path.read_bytes())
    except OSError:
        return None
    return found.hexdigest()


def _compile_kernels(compiler: list[str], kind: str, flags: tuple[str, ...], folder: Path) -> Path:
    names = (f"-DPM_KERNELS=pm_kernels_{kind}", f'-DPM_NAME="{kind}"')
    target = folder / f"kernels_{kind}.o"
    _run(*compiler, *flags, *names, "-c", SOURCE / "kernels.c", target)
    return target


def _compiler() -> list[str]:
    """The compiler that the user or Python names, or one of the usual names."""
    named = os.environ.get("CC") or sysconfig.get_config_var("CC") or ""
    for words in (shlex.split(named), ["cc"], ["gcc"], ["clang"]):
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
        raise _RefusedByCompiler(done.stderr.strip() or f"{inputs[0]} failed")


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
        kinds = compile_library()
    except CannotCompile as error:
        sys.stderr.write(f"the native decoder was not compiled: {error}\n")
        return 1
    sys.stderr.write(f"compiled {LIBRARY.name} for {', '.join(kinds)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
