"""What the linters do not say about how the source is laid out."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "perceiver_music"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES_OF_A_FILE = 300
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_every_module_says_what_lives_there() -> None:
    silent = [
        _name(path)
        for path in SOURCES
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_a_file_is_read_in_one_sitting() -> None:
    lengths = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES_OF_A_FILE} == {}


def test_a_name_says_something() -> None:
    vague = [_name(p) for p in SOURCES if VAGUE_NAMES & {*p.relative_to(PACKAGE).parts, p.stem}]
    assert vague == []


def _rooms(names: set[str]) -> set[str]:
    return {f"perceiver_music.{name}" for name in names}


def test_the_contracts_know_every_room() -> None:
    """Import-linter refuses a room without a floor; optional floors must not go stale either."""
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    floors = next(contract for contract in contracts if contract["type"] == "layers")
    rooms = {
        room.strip()
        for floor in floors["layers"]
        for room in floor.replace("(", "").replace(")", "").split("|")
    }
    there = {
        path.stem if path.suffix == ".py" else path.name
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert there - {"__init__", "__main__"} <= rooms
    required = {
        room.strip() for floor in floors["layers"] for room in floor.split("|") if "(" not in room
    }
    assert required <= there
    forbidding = [contract for contract in contracts if contract["type"] == "forbidden"]
    [without_torch] = [each for each in forbidding if each["forbidden_modules"] == ["torch"]]
    [without_typer] = [each for each in forbidding if "typer" in each["forbidden_modules"]]
    modules = {path.stem for path in PACKAGE.glob("[!_]*.py")}
    assert _rooms(modules) <= set(without_torch["source_modules"])
    assert set(without_typer["source_modules"]) == _rooms(rooms - {"cli"})


def test_the_lower_floors_run_without_torch() -> None:
    """What import-linter reads from the source, seen to hold in an interpreter."""
    patterns = (
        "*.py",
        "music/*.py",
        "tokenizer/*.py",
        "generation/options.py",
        "training/config.py",
    )
    modules = [
        ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
        for pattern in patterns
        for path in sorted(PACKAGE.glob(pattern))
        if not path.stem.startswith("__")
    ]
    script = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "sys.exit(' '.join({'torch', 'note_seq', 'numba', 'typer'} & set(sys.modules)) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def _numbers(path: Path) -> set[tuple[str, float]]:
    """Numbers that a module writes out, and what it calls them, underscores in front aside."""
    found: set[tuple[str, float]] = set()
    for line in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
        value = getattr(line, "value", None)
        if isinstance(value, ast.Constant) and isinstance(value.value, int | float):
            names = [each.id.lstrip("_") for each in targets if isinstance(each, ast.Name)]
            found |= {(name, value.value) for name in names}
    return found


def test_a_number_of_music_or_tokens_is_written_in_one_place() -> None:
    homes = [*sorted((PACKAGE / "music").glob("*.py")), PACKAGE / "tokenizer" / "vocabulary.py"]
    shared = set().union(*map(_numbers, homes))
    assert {("MICROSECONDS", 1e6), ("STEPS_PER_SECOND", 100), ("SUSTAIN_PEDAL", 64)} <= shared
    knows_no_tokenizer = PACKAGE / "model" / "event_state.py"
    others = [path for path in SOURCES if path not in (*homes, knows_no_tokenizer)]
    again = {_name(path): sorted(_numbers(path) & shared) for path in others}
    assert {name: numbers for name, numbers in again.items() if numbers} == {}


KNOWN_CIRCLE = ["model/base.py", "model/static_decoding.py"]
"""A decode knows its row, and a row whose it is."""


def _imported(path: Path) -> set[Path]:
    """Our modules that one names, for whatever reason, even if only for its types."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name):
            place = CHECKOUT.joinpath(*str(node.module).split("."))
            named = [place / f"{alias.name}.py" for alias in node.names]
            found |= {each for each in (place.with_suffix(".py"), *named) if each.is_file()}
    return found


def test_no_module_goes_round_in_circles() -> None:
    """What imports of types hide, too: each file can be read before those that build on it."""
    left = {path: _imported(path) & set(SOURCES) for path in SOURCES}
    while ready := [path for path, needs in left.items() if not needs & left.keys()]:
        for path in ready:
            del left[path]
    while unused := [path for path in left if not any(path in needs for needs in left.values())]:
        for path in unused:
            del left[path]
    assert sorted(_name(path) for path in left) == KNOWN_CIRCLE
