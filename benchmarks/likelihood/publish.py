"""Bundle a run's checkpoint with what was measured of it.

    python -m benchmarks.likelihood.publish runs/mine/checkpoint --trained-on "two CPU cores"

The weights stay as they are; name, metrics and model card are made from the checkpoint and from
`results.json` beside this file, which must be of these very weights.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perceiver_music.model.checkpoint import load_checkpoint, save_checkpoint
from perceiver_music.model.checkpoint_catalog import DEFAULT_NAME
from perceiver_music.model.registry import name_of

RESULTS = Path(__file__).resolve().with_name("results.json")
CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
KEPT = ("recipe", "licence", "version", "teachers_sha256")
DATA = "maestro-v3.0.0"

CARD = """# {name}

A Perceiver AR (Hawthorne et al. 2022, arXiv 2202.07765) of piano performances, to continue and
compose them with `perceiver-music`. Meant for making music and as a baseline; not for passing off
what it makes as a pianist's.

- **Architecture** `{architecture}`, preset `{preset}`: {parameters:,} parameters; context
  {context:,} events, {latents} latents, {layers} layers of width {width}.
- **Input and output** performance events (`{tokenizer}`): note on and off, time in 10 ms, 32
  velocities; the pedal as longer notes.
- **Data** MAESTRO v3.0.0, official split `train` ({train_events:,} events). Store sha256
  `{data_sha256}`{rounded}.
- **Training** {steps:,} steps, {loss_tokens:,} scored events ({passes:.1f} passes over the data),
  {minutes:.1f} minutes on {trained_on}. Recipe `{recipe}`, whole in `checkpoint.json`.
{teachers}- **Licence** {licence}, after the data; the code is Apache-2.0.

## Likelihood

Whole pieces, every event scored once (EOS too, BOS not), raw softmax. Decisions were made on
validation; test, where it is listed, was scored once. Intervals: 95 per cent, over pieces.

| Pieces | Events | Context | Stride | Nats per event | Interval | per note | per second |
|---|---|---|---|---|---|---|---|
{split_rows}

{tables}{far}## Limits

It knows the competition repertoire of MAESTRO, from Bach to the twentieth century, and little else.
Harmony and touch hold; form over minutes does not. `benchmarks/musicality/` has what its music is
like beside pianists', and what it copies.
"""


def publish(source: Path, trained_on: str) -> Path:
    """Write `checkpoints/<default name>` and return it."""
    loaded = load_checkpoint(source)
    fields = loaded.description.fields
    data = fields["data"]
    results = json.loads(RESULTS.read_text())
    for name, entry in results.items():
        for row in entry.get("rows", [entry]):
            if row["checkpoint_sha256"] != loaded.sha256:
                sys.exit(f"{name!r} in {RESULTS} is of {row['checkpoint']}, not of {source}")
    scores = {name: entry for name, entry in results.items() if "nats_per_event" in entry}
    metrics: dict[str, Any] = dict(fields["metrics"])
    for split, entry in scores.items():
        metrics |= {f"{split}_{key}": entry[key] for key in entry if key.startswith("nats_")}
    metrics["trained_on"] = trained_on
    card = CARD.format(
        name=DEFAULT_NAME,
        architecture=name_of(loaded.model),
        preset=fields["recipe"]["model"]["preset"],
        parameters=loaded.model.num_parameters,
        context=loaded.context,
        latents=loaded.latents,
        layers=fields["config"]["num_layers"],
        width=fields["config"]["block"]["width"],
        tokenizer=loaded.description.tokenizer_name,
        train_events=data["events"]["train"],
        data_sha256=data["sha256"],
        recipe=fields["recipe"]["name"],
        steps=metrics["step"],
        loss_tokens=metrics["loss_tokens"],
        passes=metrics["loss_tokens"] / data["events"]["train"],
        minutes=metrics["train_seconds"] / 60,
        trained_on=trained_on,
        teachers=_teachers(fields),
        rounded=f";\n  {data['rounded']}" if "rounded" in data else "",
        licence=fields["licence"],
        split_rows="\n".join(_row(name, entry) for name, entry in sorted(scores.items())),
        tables="".join(_table(name, e["rows"]) for name, e in results.items() if "rows" in e),
        far="".join(_far(entry) for entry in results.values() if "near" in entry),
    )
    target = CHECKPOINTS / DEFAULT_NAME
    save_checkpoint(
        target,
        loaded.model,
        name=DEFAULT_NAME,
        tokenizer_name=loaded.description.tokenizer_name,
        details={
            **{key: fields[key] for key in KEPT if key in fields},
            "data": {**data, "name": DATA},  # whatever the store's file was called
            "metrics": metrics,
        },
        card=card,
        overwrite=True,
    )
    return target


def _teachers(fields: Mapping[str, Any]) -> str:
    """The line about the checkpoints whose predictions were learned, if there were any."""
    teachers = " and ".join(f"`{sha256[:16]}`" for sha256 in fields.get("teachers_sha256", ()))
    if not teachers:
        return ""
    share = fields["recipe"]["distillation"]["share"]
    return (
        f"- **Teachers** the checkpoints {teachers} of the same data: {share:.0%} of the loss are\n"
        "  their predictions. `docs/lab-book.md` says how they were made.\n"
    )


def _table(name: str, rows: list[dict[str, Any]]) -> str:
    """A table of one entry that varies the context or the latents."""
    lines = [f"| {row['context']:,} | {row['latents']} | {_scores(row)} |" for row in rows]
    head = (
        f"On {name}:\n\n| Context | Latents | Nats per event | per note | per second |\n"
        "|---|---|---|---|---|\n"
    )
    return head + "\n".join(lines) + "\n\n"


def _row(split: str, entry: dict[str, Any]) -> str:
    nats = entry["interval_over_pieces"]
    event, rest = _scores(entry).split(" | ", 1)
    return (
        f"| {split} ({entry['pieces']}) | {entry['events']:,} | {entry['context']:,} "
        f"| {entry['stride']} | {event} | {nats['low']:.3f} to {nats['high']:.3f} | {rest} |"
    )


def _far(entry: dict[str, Any]) -> str:
    another, none = (entry[f"own_better_than_{name}"] for name in ("another", "none"))
    return (
        f"Events past position {entry['context']:,} ({entry['pieces']} pieces), by what lies more "
        f"than {entry['near']:,} events back: the piece's own past is better than another piece's "
        f"by {another['mean']:.4f} nats ({another['low']:.4f} to {another['high']:.4f}), and than "
        f"nothing by {none['mean']:.4f} ({none['low']:.4f} to {none['high']:.4f}).\n\n"
    )


def _scores(entry: dict[str, Any]) -> str:
    return " | ".join(
        f"{entry[key]:.{digits}f}"
        for key, digits in (("nats_per_event", 4), ("nats_per_note", 3), ("nats_per_second", 2))
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--trained-on", required=True, help="which machine, in words")
    arguments = parser.parse_args()
    publish(arguments.checkpoint, arguments.trained_on)
