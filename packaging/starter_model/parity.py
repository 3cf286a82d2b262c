"""Compares an exported file run by llama.cpp with the network in PyTorch, token by token."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer

from starter_model.guide_items import GuideItem
from starter_model.mixture import conversations
from starter_model.network import Network
from starter_model.packing import encode
from starter_model.runtime import Runtime

TOKENS = 2000


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many tokens were compared, and for how many both find the same next one likeliest."""

    same: int
    tokens: int

    @property
    def share(self) -> float:
        return self.same / self.tokens


@torch.no_grad()
def compare(
    path: Path, network: Network, tokenizer: Tokenizer, items: tuple[GuideItem, ...]
) -> Agreement:
    """Return the agreement over the first tokens of the evaluation's conversations."""
    same = count = 0
    with Runtime(path) as runtime:
        for conversation in islice(conversations(items, "evaluation of parity"), 100):
            tokens = encode(conversation, tokenizer).tokens
            mine = network.logits(network(torch.tensor(tokens), [len(tokens)])).argmax(-1).numpy()
            same += int((runtime.best(tokens) == mine).sum())
            count += len(tokens)
            if count >= TOKENS:
                break
    return Agreement(same, count)


@torch.no_grad()
def expert_balance(
    network: Network, tokenizer: Tokenizer, items: tuple[GuideItem, ...], count: int = 200
) -> list[tuple[float, float]]:
    """Return, for each layer that routes, the least and the most busy expert's share.

    A share of 1 is fair: as many tokens as if all were spread evenly.
    """
    network.train()  # only so that the experts count
    for part in network.experts():
        part.load.zero_()
    for conversation in islice(conversations(items, "evaluation of balance"), count):
        tokens = encode(conversation, tokenizer).tokens
        network(torch.tensor(tokens), [len(tokens)])
    network.eval()
    loads = [part.load / part.load.mean() for part in network.experts()]
    return [(float(load.min()), float(load.max())) for load in loads]
