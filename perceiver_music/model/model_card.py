"""The model card: what `checkpoint.json` says, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perceiver_music.model.base import SequenceModel
from perceiver_music.model.registry import name_of


def model_card(name: str, model: SequenceModel, details: Mapping[str, Any], *, context: int) -> str:
    """Markdown for the `MODEL_CARD.md` of a checkpoint."""
    data, metrics = details["data"], details["metrics"]
    rows = "\n".join(f"| {key} | {_number(value)} |" for key, value in metrics.items())
    splits = ", ".join(f"{split} {count:,} events" for split, count in data["events"].items())
    start = details.get("started_from")
    begun = f"\n- Started from the weights of {_origin(start)}." if start else ""
    teachers = ", ".join(map(_origin, details.get("teachers", ())))
    taught = (
        f"\n- Learned from the predictions of {teachers}, besides the data." if teachers else ""
    )
    return f"""# {name}

A model of piano performances, made by `perceiver-music train`.

- Architecture: {name_of(model)}, {model.num_parameters:,} parameters, context of
  {context:,} events, {model.latents:,} latents.
- Recipe: `{details["recipe"]["name"]}` (whole in `checkpoint.json`).{begun}{taught}
- Data: {data["name"]} ({splits}); store sha256 `{data["sha256"]}`.
- Licence of the weights: {details["licence"]}

| Measured | |
|---|---|
{rows}

Nats per event are averages over whole held-out pieces, every event scored once.
"""


def _origin(origin: Mapping[str, str]) -> str:
    return f"{origin['name']} (checkpoint `{origin['sha256'][:12]}`, licence: {origin['licence']})"


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
