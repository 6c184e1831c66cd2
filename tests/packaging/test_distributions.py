"""What is built carries what the program needs, and works away from the checkout."""

import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from perceiver_music.model.native.library import kernel_names

CHECKOUT = Path(__file__).resolve().parents[2]
BUNDLED = "perceiver_music/bundled_files"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built with the backend that is installed here."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling, the build backend, is not installed")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", folder],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    return folder


def _files_of(folder: str, pattern: str) -> set[str]:
    """Files of the checkout by their path beneath a folder of it."""
    root = CHECKOUT / folder
    return {path.relative_to(root).as_posix() for path in root.glob(pattern) if path.is_file()}


def test_the_wheel_carries_package_checkpoints_and_primers(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    modules = {f"perceiver_music/{name}" for name in _files_of("perceiver_music", "**/*.py")}
    recipes = {f"perceiver_music/{name}" for name in _files_of("perceiver_music", "recipes/*.toml")}
    page = {
        f"perceiver_music/view/page{end}" for end in (".html", ".css", "_roll.js", "_player.js")
    }
    checkpoints = {f"{BUNDLED}/checkpoints/{name}" for name in _files_of("checkpoints", "*/*")}
    checkpoints.add(f"{BUNDLED}/checkpoints/LICENSE.md")
    primers = {f"{BUNDLED}/primers/{name}" for name in _files_of("data/primers", "*.mid")}
    assert recipes
    assert primers
    assert {name for name in names if name.startswith(f"{BUNDLED}/checkpoints/")} == checkpoints
    assert modules | recipes | page | checkpoints | primers | {"perceiver_music/py.typed"} <= names
    if kernel_names():
        assert "perceiver_music/model/native/_decoder.so" in names
        assert not wheel.name.endswith("none-any.whl")
        assert "-linux_" not in wheel.name or not platform.libc_ver()[0]  # which PyPI refuses
    strangers = {n for n in names if not n.startswith(("perceiver_music/", "perceiver_music-"))}
    assert not strangers
    for licence in ("LICENSE", "checkpoints/LICENSE.md", "data/CC0-1.0.txt"):
        assert any(name.endswith(f".dist-info/licenses/{licence}") for name in names)


def test_without_a_compiler_the_wheel_is_pure_python(built: Path, tmp_path: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path],
        cwd=source,
        env={**os.environ, "PATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "native decoder is left out" in done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".so")]


def test_the_sdist_carries_what_a_wheel_is_built_from(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("perceiver_music", "checkpoints", "data/primers", "data/primer_scores", "tests"):
        wanted = {f"{folder}/{name}" for name in _files_of(folder, "**/*")}
        wanted = {name for name in wanted if not name.endswith((".pyc", ".so"))}
        assert wanted <= names
    assert {"pyproject.toml", "LICENSE", "Makefile", "constraints.txt", "data/README.md"} <= names


def test_the_sdist_carries_all_that_is_kept(built: Path) -> None:
    git = shutil.which("git")
    if git is None or not (CHECKOUT / ".git").exists():
        pytest.skip("this is no checkout")
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    kept = subprocess.run([git, "ls-files", "-z"], cwd=CHECKOUT, check=True, capture_output=True)
    assert {os.fsdecode(name) for name in kept.stdout.split(b"\0") if name} - names == set()


def test_the_sdist_has_what_its_makefile_asks_for(built: Path, tmp_path: Path) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("there is no make")
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    for target in ("test", "demo", "faults"):
        done = subprocess.run(
            [make, "-n", target], cwd=source, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def test_a_wheel_finds_its_files_away_from_the_checkout(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    target = tmp_path / "a place with spaces"
    install = "-m pip install --quiet --no-deps --no-index --disable-pip-version-check --target"
    subprocess.run([sys.executable, *install.split(), target, wheel], check=True)
    script = (
        "import perceiver_music, sys; from perceiver_music.bundled import *; "
        "print(perceiver_music.__file__); print(bundled_checkpoints()); print(bundled_primers()); "
        "from perceiver_music.model.native.library import kernel_names; print(*kernel_names())"
    )
    # Isolated from the checkout: neither the current folder nor its editable install comes first.
    answer = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert [Path(line).is_relative_to(target) for line in answer[:3]] == [True, True, True]
    assert answer[3].split() == list(kernel_names()), "the library is of the sources beside it"
    assert {path.name for path in Path(answer[2]).iterdir()} == _files_of("data/primers", "*.mid")
    version = subprocess.run(
        [sys.executable, "-P", "-m", "perceiver_music", "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert version.strip()
