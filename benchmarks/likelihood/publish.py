"""Bundle a run's checkpoint with what was measured of it.

    python -m benchmarks.likelihood.publish runs/mine/checkpoint

The weights stay as they are; name, metrics and model card are made from the checkpoint and from
`results.json` beside this file, which must be of these very weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from perceiver_music.model.checkpoint import load_checkpoint, save_checkpoint
from perceiver_music.model.checkpoint_catalog import DEFAULT_NAME
from perceiver_music.model.registry import name_of

RESULTS = Path(__file__).resolve().with_name("results.json")
CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
KEPT = ("recipe", "data", "licence", "version")

CARD = """# {name}

A Perceiver AR (Hawthorne et al. 2022, arXiv 2202.07765) of piano performances, to continue and
compose them with `perceiver-music`. Meant for making music and as a baseline; not for passing off
what it makes as a pianist's.

- **Architecture** `{architecture}`, preset `{preset}`: {parameters:,} parameters; context
  {context:,} events, {latents} latents, {layers} layers of width {width}.
- **Input and output** performance events (`{tokenizer}`): note on and off, time in 10 ms, 32
  velocities; the pedal as longer notes.
- **Data** MAESTRO v3.0.0, official split `train` ({train_events:,} events), no augmentation. Store
  sha256 `{data_sha256}`.
- **Training** recipe `{recipe}`, {step:,} steps, {loss_tokens:,} scored events ({passes:.2f} passes
  over the data), {hours:.1f} hours on two CPU cores in bf16.
- **Licence** {licence}, after the data; the code is Apache-2.0.

## Likelihood

Whole pieces, every event scored once (EOS too, BOS not), raw softmax, a stride of {stride} events,
context {context:,}. Decisions were made on validation; test, where it is listed, was scored once.

| Split | Pieces | Events | Nats per event | per note | per second of music |
|---|---|---|---|---|---|
{split_rows}

{by_context}## Limits

Its training was short, as the figures above say: harmony holds for a phrase, form does not. It
knows the competition repertoire of MAESTRO, from Bach to the twentieth century, and little else.
Whether an output repeats a training piece was not checked.
"""


def publish(source: Path) -> Path:
    """Write `checkpoints/<default name>` and return it."""
    loaded = load_checkpoint(source)
    fields = loaded.description.fields
    results = json.loads(RESULTS.read_text())
    scores = [entry for entry in results.values() if "rows" not in entry]
    by_context = {name: entry["rows"] for name, entry in results.items() if "rows" in entry}
    for entry in [*scores, *(row for rows in by_context.values() for row in rows)]:
        if entry["checkpoint_sha256"] != loaded.sha256:
            sys.exit(f"{RESULTS} is of {entry['checkpoint']}, not of {source}: measure it first")
    metrics: dict[str, Any] = dict(fields["metrics"])
    for split, entry in results.items():
        if "rows" not in entry:
            metrics |= {f"{split}_{key}": entry[key] for key in entry if key.startswith("nats_")}
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
        train_events=fields["data"]["events"]["train"],
        data_sha256=fields["data"]["sha256"],
        recipe=fields["recipe"]["name"],
        step=metrics["step"],
        loss_tokens=metrics["loss_tokens"],
        passes=metrics["loss_tokens"] / fields["data"]["events"]["train"],
        hours=metrics["train_seconds"] / 3600,
        licence=fields["licence"],
        stride=scores[0]["stride"],
        split_rows="\n".join(
            _row(name, entry) for name, entry in sorted(results.items()) if "rows" not in entry
        ),
        by_context="".join(_context_table(name, rows) for name, rows in by_context.items()),
    )
    target = CHECKPOINTS / DEFAULT_NAME
    save_checkpoint(
        target,
        loaded.model,
        name=DEFAULT_NAME,
        tokenizer_name=loaded.description.tokenizer_name,
        details={**{key: fields[key] for key in KEPT}, "metrics": metrics},
        card=card,
        overwrite=True,
    )
    return target


def _context_table(name: str, rows: list[dict[str, Any]]) -> str:
    lines = [f"| {row['context']:,} | {_scores(row)} |" for row in rows]
    head = (
        f"On {name}:\n\n| Context | Nats per event | per note | per second |\n|---|---|---|---|\n"
    )
    return head + "\n".join(lines) + "\n\n"


def _row(split: str, entry: dict[str, Any]) -> str:
    return f"| {split} | {entry['pieces']} | {entry['events']:,} | {_scores(entry)} |"


def _scores(entry: dict[str, Any]) -> str:
    return " | ".join(
        f"{entry[key]:.{digits}f}"
        for key, digits in (("nats_per_event", 4), ("nats_per_note", 3), ("nats_per_second", 2))
    )


if __name__ == "__main__":
    publish(Path(sys.argv[1]))
