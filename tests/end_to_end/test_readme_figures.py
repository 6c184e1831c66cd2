"""Every figure that the README quotes is the one in the file that a benchmark wrote.

A quote names the words around the figure and where it comes from; however many digits are quoted,
they must be the file's, rounded. A number in the sections of figures that no quote claims is
refused, so that a new one needs its source, too.
"""

import copy
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    "rivals": ROOT / "benchmarks" / "rivals" / "results.json",
    "decoding": ROOT / "benchmarks" / "decoding" / "results.json",
    "likelihood": ROOT / "benchmarks" / "likelihood" / "results.json",
    "startup": ROOT / "benchmarks" / "startup" / "results.json",
    "render": ROOT / "benchmarks" / "render" / "results.json",
    "equal_clock": ROOT / "benchmarks" / "equal_clock" / "results.json",
    "training": ROOT / "benchmarks" / "training" / "results.json",
    "musicality": ROOT / "benchmarks" / "musicality" / "results.json",
    "checkpoint": ROOT / "checkpoints" / "maestro" / "checkpoint.json",
}
SECTIONS_OF_FIGURES = ("The bundled checkpoint", "Beside other models", "Fast")
NAMES = ("MAESTRO v3", "H100", "int8", "float32", "32,768 events as over 1,024", "8,192 already")
NAMES += ("window of 1,024", "window of 2,048", "memory of 512", "25 validation", "95 in 100")
NAMES += ("continuation of 256", "of 100 cases")
NUMBER = r"\d[\d,]*(?:\.\d+)*"
CLAIM = re.compile(rf"{NUMBER}(?= (?:times|nats|events a second|events/s|steps/s|million param))")


@dataclass(frozen=True)
class Quote:
    """A figure in the README.

    Attributes:
        words: what stands around it, which is `{}`; a space is any white space, `#` any number.
        source: which file it is from.
        place: the keys to it there, between slashes.
        over: the keys to what it is divided by.
        unit: it is quoted in so many.
        nearest: it is rounded to a multiple of this; None for as many decimals as are quoted.
    """

    words: str
    source: str
    place: str
    over: str | None = None
    unit: float = 1.0
    nearest: float | None = None


def ours(words: str, way: str, figure: str = "events_per_second") -> Quote:
    return Quote(words, "rivals", f"contestants/{way}/{figure}")


def likelihood(split: str) -> list[Quote]:
    """The row of a split in the table."""
    figures = ("context", "stride", "pieces", "nats_per_event", "nats_per_note", "nats_per_second")
    row = f"{split}, context @, stride @ | @ | @ | @ | @ |"
    quotes = []
    for i, figure in enumerate(figures):
        numbers = iter(["#"] * i + ["{}"] + ["#"] * (len(figures) - i - 1))
        words = re.sub("@", lambda _, rest=numbers: next(rest), row)
        quotes.append(Quote(words, "likelihood", f"{split}/{figure}"))
    return quotes


def equal_clock(words: str, model: str) -> list[Quote]:
    """The row of a model in the table."""
    figures = [f"seed 1/nats_per_event/{figure}" for figure in ("mean", "low", "high")]
    figures += ["seed 2/nats_per_event/mean", "seed 1/steps", "seed 1/loss_tokens"]
    row = f"| {words} | @ | @ to @ | @ | @ | @ |"
    quotes = []
    for i, figure in enumerate(figures):
        numbers = iter(["#"] * i + ["{}"] + ["#"] * (len(figures) - i - 1))
        filled = re.sub("@", lambda _, rest=numbers: next(rest), row)
        unit = 1e6 if figure.endswith("loss_tokens") else 1.0
        quotes.append(Quote(filled, "equal_clock", f"models/{model}/{figure}", unit=unit))
    return quotes


QUOTES = (
    *equal_clock("ours", "ours"),
    *equal_clock("ours, without counted events", "ours without counted events"),
    *equal_clock("Transformer, window of 1,024", "Transformer, 1,024"),
    *equal_clock("Transformer, window of 2,048", "Transformer, 2,048"),
    *equal_clock("Transformer-XL, segment and memory of 512", "Transformer-XL"),
    *equal_clock("Perceiver AR as published", "Perceiver AR as published"),
    ours("| ours, int8 | {} | |", "ours, native int8"),
    ours("| ours, torch, float32 | {} |", "ours, torch fp32"),
    Quote(
        "| ours, torch, float32 | # | {} times |",
        "rivals",
        "contestants/ours, native int8/events_per_second",
        over="contestants/ours, torch fp32/events_per_second",
    ),
    ours("| perceiver-io {}, cached |", "perceiver-io", "version"),
    ours("| perceiver-io #, cached | {} |", "perceiver-io"),
    Quote("| perceiver-io #, cached | # | {} times |", "rivals", "ratios/int8 over perceiver-io"),
    ours("| Hugging Face Llama of the same size | {} |", "llama"),
    Quote(
        "| Hugging Face Llama of the same size | # | {} times |",
        "rivals",
        "ratios/int8 over llama",
    ),
    Quote("with a primer of {} events", "rivals", "primer_events"),
    Quote("and {} million parameters", "decoding", "models/20M/parameters", unit=1e6, nearest=10),
    Quote("A training step with {} latents", "training", "latents"),
    Quote(
        "costs {} times as much over 32,768 events as over 1,024;",
        "training",
        "by_context/models/perceiver_ar/32768/step_seconds",
        over="by_context/models/perceiver_ar/1024/step_seconds",
    ),
    Quote(
        "of the same size pays {} times as much at 8,192 already",
        "training",
        "by_context/models/transformer/8192/step_seconds",
        over="by_context/models/transformer/1024/step_seconds",
    ),
    Quote(
        "256 events takes {} s from the shell",
        "startup",
        "rows/continue --length 256/wall_seconds",
    ),
    Quote("only imports torch takes {} s", "startup", "rows/import torch/wall_seconds"),
    Quote("renders {} seconds of sound", "render", "times_real_time"),
    Quote(
        "use no more than their last {} events",
        "equal_clock",
        "models/Transformer-XL/seed 1/context",
    ),
    Quote("{} million parameters, a context of", "checkpoint", "parameters", unit=1e6),
    Quote("a context of {} events", "checkpoint", "config/context"),
    Quote(
        "(some {} notes)",
        "likelihood",
        "validation/context",
        over="validation/nats_per_note / validation/nats_per_event",
        nearest=1000,
    ),
    Quote("for {} minutes on one NVIDIA", "checkpoint", "metrics/train_seconds", unit=60),
    Quote("on {} passes over", "checkpoint", "metrics/loss_tokens", over="data/events/train"),
    Quote(
        "the training set has {} notes",
        "musicality",
        "test, bundled/longest_shared_with_training/made/most",
    ),
    Quote(
        "({} in the pianists' own)",
        "musicality",
        "test, bundled/longest_shared_with_training/real/most",
    ),
    Quote("pianist's in {} of 100", "musicality", "test, bundled/two_sample/accuracy", unit=0.01),
    *likelihood("test"),
    *likelihood("validation"),
)
QUOTE_NAMES = [quote.words for quote in QUOTES]


def look_up(file: dict[str, Any], place: str) -> Any:
    """The value at a place, or the quotient of those at two."""
    values: list[Any] = []
    for path in place.split(" / "):
        value: Any = file
        for key in path.split("/"):
            value = value[key]
        values.append(value)
    return values[0] if len(values) == 1 else values[0] / values[1]


def expected(quote: Quote, quoted: str, file: dict[str, Any]) -> str:
    """The figure of the file with as many digits as the quoted one."""
    value = look_up(file, quote.place)
    if isinstance(value, str):  # a version, of which the first parts will do
        return ".".join(value.split(".")[: quoted.count(".") + 1])
    value /= quote.unit
    if quote.over is not None:
        value /= look_up(file, quote.over)
    if quote.nearest is not None:
        value = round(value / quote.nearest) * quote.nearest
    return f"{value:,.{len(quoted.partition('.')[2])}f}"


def found(quote: Quote, readme: str) -> list[re.Match[str]]:
    """Where the README has this quote: once."""
    pattern = r"\s+".join(map(re.escape, quote.words.split(" ")))
    pattern = pattern.replace(re.escape("#"), NUMBER).replace(re.escape("{}"), f"({NUMBER})")
    return list(re.finditer(pattern, readme))


def section(readme: str, title: str) -> str:
    return readme.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def complaints(readme: str, files: dict[str, Any]) -> list[str]:
    """Figures that are not those of the files, and numbers without a source."""
    told, unclaimed = [], list(readme)
    for quote in QUOTES:
        matches = found(quote, readme)
        if len(matches) != 1:
            told.append(f"{quote.words!r} stands there {len(matches)} times, not once")
            continue
        (match,) = matches
        right = expected(quote, match[1], files[quote.source])
        if match[1] != right:
            told.append(f"{quote.words!r}: {match[1]} is {right} in {quote.source}: {quote.place}")
        unclaimed[slice(*match.span(1))] = "_" * len(match[1])
    rest = "".join(unclaimed)
    numbers = CLAIM.findall(rest)
    for title in SECTIONS_OF_FIGURES:
        words = section(rest, title)
        for name in NAMES:
            words = words.replace(name, "")
        numbers += re.findall(NUMBER, words)
    return told + [f"where is {number} from? It needs a Quote" for number in numbers]


def replaced(readme: str, quote: Quote, figure: str) -> str:
    (match,) = found(quote, readme)
    return readme[: match.start(1)] + figure + readme[match.end(1) :]


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def files() -> dict[str, Any]:
    if not (ROOT / "benchmarks").is_dir():
        pytest.skip("there are no benchmarks beside these tests")
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}


def test_the_readme_says_what_the_files_say(readme: str, files: dict[str, Any]) -> None:
    assert complaints(readme, files) == []


@pytest.mark.parametrize("quote", QUOTES, ids=QUOTE_NAMES)
def test_another_figure_in_the_readme_is_noticed(
    quote: Quote, readme: str, files: dict[str, Any]
) -> None:
    (match,) = found(quote, readme)
    wrong = match[1][:-1] + str((int(match[1][-1]) + 1) % 10)
    assert complaints(replaced(readme, quote, wrong), files)


@pytest.mark.parametrize("quote", QUOTES, ids=QUOTE_NAMES)
def test_another_figure_in_the_file_is_noticed(
    quote: Quote, readme: str, files: dict[str, Any]
) -> None:
    changed = copy.deepcopy(files)
    *keys, last = quote.place.split("/")
    inner = changed[quote.source]
    for key in keys:
        inner = inner[key]
    inner[last] = "9.9" if isinstance(inner[last], str) else inner[last] * 2
    assert complaints(readme, changed)


def test_a_figure_without_a_source_is_noticed(readme: str, files: dict[str, Any]) -> None:
    heading = "\n## Fast\n"
    for words in ("Twice 17.", "It is 40 times as fast."):
        told = complaints(readme.replace(heading, f"{heading}\n{words}\n"), files)
        assert any("where is" in line for line in told)
    assert complaints(f"{readme}\nIt plays 900 events a second.\n", files)
