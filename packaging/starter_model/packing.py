"""Turns conversations into tokens, and tokens into batches of about one size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from starter_model.conversation import Conversation, render

# The model must be able to point before it can answer: a little of the prompts is learned too.
PROMPT_SHARE = 0.05
PROMPT_WEIGHT = 0.25
HEAD_TOKENS = 4
HEAD_WEIGHT = 6.0


@dataclass(frozen=True, slots=True)
class Example:
    """Tokens of one conversation, and how much each is to be learned (0 for not at all)."""

    tokens: list[int]
    weights: list[float]


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences one after the other; `at` are the places whose next token is learned."""

    tokens: Tensor
    lengths: list[int]
    at: Tensor
    targets: Tensor
    weights: Tensor


def encode(conversation: Conversation, tokenizer: Tokenizer) -> Example:
    """Return a conversation's tokens.

    An answer's tokens weigh as the inverse root of its length, so that a span of three tokens
    counts beside a paragraph; its first tokens weigh more, since they decide which answer it is.
    """
    tokens: list[int] = []
    weights: list[float] = []
    for piece in render(conversation):
        ids = tokenizer.encode(piece.text, add_special_tokens=False).ids
        tokens += ids
        one = len(ids) ** -0.5 if piece.spoken else 0.0
        weights += [one * (HEAD_WEIGHT if at < HEAD_TOKENS else 1.0) for at in range(len(ids))]
    return Example(tokens, weights)


def batches(
    examples: Iterator[Example], tokens: int, longest: int, seed: int, pool: int = 160
) -> Iterator[Batch]:
    """Yield batches of up to `tokens` tokens, each of sequences of like length."""
    draw = torch.Generator().manual_seed(seed)
    while True:
        drawn = (next(examples) for _ in range(pool))
        kept = sorted((one for one in drawn if len(one.tokens) <= longest), key=_length)
        groups: list[list[Example]] = [[]]
        for example in kept:
            if (len(groups[-1]) + 1) * len(example.tokens) > tokens and groups[-1]:
                groups.append([])
            groups[-1].append(example)
        for index in torch.randperm(len(groups), generator=draw).tolist():
            if groups[index]:
                yield collate(groups[index], draw)


def collate(examples: list[Example], draw: torch.Generator) -> Batch:
    """Return examples as one batch, with a share of the prompts' tokens to be learned."""
    lengths = [len(example.tokens) for example in examples]
    tokens = torch.tensor([token for example in examples for token in example.tokens])
    weights = torch.tensor([weight for example in examples for weight in example.weights])
    chosen = torch.rand(len(weights), generator=draw) < PROMPT_SHARE
    mean = 0.25 * PROMPT_WEIGHT
    weights = torch.where((weights == 0) & chosen, mean, weights)
    starts = torch.tensor(lengths).cumsum(0) - torch.tensor(lengths)
    weights[starts] = 0.0
    at = weights.nonzero().squeeze(1)
    return Batch(tokens, lengths, at - 1, tokens[at], weights[at])


def _length(example: Example) -> int:
    return len(example.tokens)
