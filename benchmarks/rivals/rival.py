"""One rival, in its own environment: reads a primer, then makes events when it is told to.

    python rival.py NAME --batch B

Speaks JSON, a line a message: on standard input a number of steps, on standard output the
processor time that they took. Nothing of ours is imported here: only torch and the rival.
All have about 20 million parameters: width 512, 8 heads, 6 layers, 390 ids, as far as each allows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib.metadata import version
from typing import Any

import torch

VOCABULARY, PRIMER, WIDTH, HEADS, LAYERS, LATENTS = 390, 4096, 512, 8, 6, 512
LONGEST = 8192


class Llama:
    """Hugging Face Llama; its hidden layer is as wide as makes 20 million parameters."""

    package = "transformers"

    def __init__(self) -> None:
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=1408,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            max_position_embeddings=LONGEST,
        )
        self.model = LlamaForCausalLM(config).eval()
        self.cache: Any = None

    def repeat(self, count: int) -> None:
        """So many copies of what was given before, side by side."""
        self.cache = tuple(
            tuple(part.repeat(count, 1, 1, 1) for part in layer) for layer in self.cache
        )

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Of what follows `tokens`, which follow what was given before."""
        output = self.model(tokens, past_key_values=self.cache, use_cache=True)
        self.cache = output.past_key_values
        return output.logits[:, -1]


class GPT2(Llama):
    """Hugging Face GPT-2."""

    def __init__(self) -> None:
        from transformers import GPT2Config, GPT2LMHeadModel

        config = GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=LONGEST,
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=HEADS,
        )
        self.model = GPT2LMHeadModel(config).eval()
        self.cache = None


class PerceiverIO:
    """perceiver-io's symbolic audio model with its caches, cut as its `generate` cuts them."""

    package = "perceiver-io"

    def __init__(self) -> None:
        from perceiver.model.core.config import CausalSequenceModelConfig
        from perceiver.model.core.modules import CausalSequenceModel

        config = CausalSequenceModelConfig(
            vocab_size=VOCABULARY,
            max_seq_len=PRIMER,
            max_latents=LATENTS,
            num_channels=WIDTH,
            num_heads=HEADS,
            num_self_attention_layers=LAYERS - 1,
            cross_attention_dropout=0.0,
        )
        self.model = CausalSequenceModel(config).eval()
        self.cache: Any = []
        self.length = 0
        self.prefix = PRIMER - LATENTS

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """See `Llama.logits`."""
        self.length += tokens.shape[1]
        if self.cache:
            cross, *stack = self.cache
            stack = [tuple(part[:, -(LATENTS - 1) :] for part in pair) for pair in stack]
            cross = tuple(part[:, -(PRIMER - 1) :] for part in cross)
            self.cache = [cross, *stack]
        output = self.model(tokens, prefix_len=self.prefix, kv_cache=self.cache)
        self.cache = output.kv_cache
        return output.logits[:, -1]


class Lucidrains:
    """perceiver-ar-pytorch, which has no cache: everything anew for every event."""

    package = "perceiver-ar-pytorch"

    def __init__(self) -> None:
        from perceiver_ar_pytorch import PerceiverAR

        self.model = PerceiverAR(
            num_tokens=VOCABULARY,
            dim=WIDTH,
            depth=LAYERS - 1,
            dim_head=WIDTH // HEADS,
            heads=HEADS,
            max_seq_len=PRIMER,
            cross_attn_seq_len=PRIMER - LATENTS,
            cross_attn_dropout=0.0,
        ).eval()
        self.tokens = torch.empty(0, 0, dtype=torch.long)

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """See `Llama.logits`."""
        seen = [self.tokens, tokens] if self.tokens.numel() else [tokens]
        self.tokens = torch.cat(seen, dim=1)[:, -PRIMER:]
        return self.model(self.tokens)[:, -1]


RIVALS = {
    "perceiver-io": PerceiverIO,
    "llama": Llama,
    "gpt2": GPT2,
    "perceiver-ar-pytorch": Lucidrains,
}


def draw(logits: torch.Tensor) -> torch.Tensor:
    """Temperature 1 and top-p 0.98, for each row."""
    weights, order = torch.softmax(logits.float(), dim=-1).sort(dim=-1, descending=True)
    weights[weights.cumsum(-1) - weights >= 0.98] = 0.0
    return order.gather(-1, torch.multinomial(weights, 1))


@torch.inference_mode()
def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=RIVALS)
    parser.add_argument("--batch", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rival = RIVALS[arguments.name]()
    started = time.process_time()
    logits = rival.logits(torch.randint(VOCABULARY, (1, PRIMER)))
    say(
        first_event_seconds=time.process_time() - started,
        parameters=sum(p.numel() for p in rival.model.parameters()),
        version=version(rival.package),
        torch=str(torch.__version__),
    )
    if arguments.batch > 1:  # the rows share their primer, which is read once, as ours do
        rival.repeat(arguments.batch)
        logits = logits.repeat(arguments.batch, 1)
    for line in sys.stdin:
        started = time.process_time()
        for _ in range(int(line)):
            logits = rival.logits(draw(logits))
        say(seconds=time.process_time() - started)


def say(**fields: object) -> None:
    """One line to whoever asked."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
