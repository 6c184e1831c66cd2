"""Whatever the compiler is called and knows, a library comes of it, and it is of these sources."""

import ctypes
import shutil
from pathlib import Path

import pytest

from perceiver_music.model.native import compile as compiling
from perceiver_music.model.native.compile import (
    CannotCompile,
    compile_library,
    hash_of_sources,
)

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")

KNOWS_NO_VNNI = """#!/bin/sh
echo "$@" >> "$0.log"
test "$1" = --through || exit 9
shift
case "$*" in *-mavx512vnni*) echo "what is -mavx512vnni?" >&2; exit 1;; esac
exec "$@" -O0
"""


def wrapper(folder: Path, script: str) -> Path:
    path = folder / "a compiler"
    path.write_text(script, encoding="utf-8")
    path.chmod(0o755)
    return path


def names_in(library: Path) -> list[str]:
    """All kinds that this processor can run, of what was compiled."""
    loaded = ctypes.CDLL(str(library))
    loaded.pm_kernels_name.restype = ctypes.c_char_p
    names: list[str] = []
    while (name := loaded.pm_kernels_name(len(names))) is not None:
        names.append(name.decode())
    return names


@pytest.mark.slow
def test_all_words_of_the_compiler_count_and_what_it_does_not_know_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = wrapper(tmp_path, KNOWS_NO_VNNI)
    monkeypatch.setenv("CC", f"'{compiler}' --through gcc")
    library = tmp_path / "library.so"
    kinds = compile_library(library)
    assert kinds[0] == "generic"
    assert "avx512vnni" not in kinds
    names = names_in(library)
    assert names[-1] == "generic"
    assert set(names) <= set(kinds)
    sources = ctypes.CDLL(str(library)).pm_sources
    sources.restype = ctypes.c_char_p
    assert sources().decode() == hash_of_sources()
    words = Path(f"{compiler}.log").read_text(encoding="utf-8").splitlines()
    assert all(line.startswith("--through gcc ") for line in words)


def test_a_compiler_that_refuses_all_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = wrapper(tmp_path, "#!/bin/sh\necho out of order >&2\nexit 1\n")
    monkeypatch.setenv("CC", f"'{compiler}'")
    with pytest.raises(CannotCompile, match="out of order"):
        compile_library(tmp_path / "library.so")
    assert not (tmp_path / "library.so").exists()


def test_a_source_that_changes_is_another_and_none_has_no_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    shutil.copytree(compiling.SOURCE, source)
    monkeypatch.setattr(compiling, "SOURCE", source)
    first = hash_of_sources()
    assert first is not None
    (source / "notes.txt").write_text("is not compiled", encoding="utf-8")
    assert hash_of_sources() == first
    with (source / "simd.h").open("a", encoding="utf-8") as stream:
        stream.write("\n")
    assert hash_of_sources() not in (None, first)
    shutil.rmtree(source)
    assert hash_of_sources() is None
