"""One sequence on its way through the engine: its tokens and how many of them are computed."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

from freehold.errors import AppError

FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]


class Phase(enum.Enum):
    """Where a sequence stands."""

    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"
    ENDED = "ended"


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt and what is generated after it.

    tokens: the prompt, then what was generated; the first `computed` of them have KV cells.
    length_limit: tokens at which generation ends with "length".
    cached_tokens: of the prompt, taken from a kept or running sequence at first admission.
    order: arrival number, unique; a preempted sequence keeps it.
    queued_at_step: the scheduler's step count when it began to wait.
    """

    id: str
    tokens: list[int]
    prompt_count: int
    length_limit: int
    key: str = ""
    priority_key: str = ""
    order: int = 0
    phase: Phase = Phase.WAITING
    slot: int = -1
    computed: int = 0
    cached_tokens: int = 0
    was_admitted: bool = False
    queued_at_step: int = 0

    @property
    def generated(self) -> int:
        """Return how many tokens were generated."""
        return len(self.tokens) - self.prompt_count

    @property
    def uncomputed(self) -> int:
        """Return how many tokens have no KV cell yet."""
        return len(self.tokens) - self.computed


def make_sequence(
    request_id: str,
    prompt: list[int],
    *,
    context_tokens: int,
    max_tokens: int | None,
    key: str = "",
    priority_key: str = "",
) -> Sequence:
    """Return a sequence for a prompt, or refuse a prompt that leaves no room to answer.

    Raises: AppError `context_length_exceeded` with both numbers; `invalid_request` if the prompt
        is empty or max_tokens is not positive.
    """
    if not prompt:
        raise AppError(
            "invalid_request", "The prompt is empty.", "Send at least one character of text."
        )
    if max_tokens is not None and max_tokens < 1:
        raise AppError(
            "invalid_request",
            f"max_tokens must be at least 1, not {max_tokens}.",
            "Leave it out to generate until the model ends or the context is full.",
            detail={"param": "max_tokens"},
        )
    if len(prompt) + 1 > context_tokens:
        raise AppError(
            "context_length_exceeded",
            f"The prompt has {len(prompt):,} tokens and the context holds {context_tokens:,}; "
            "one more is needed for the answer.",
            "Shorten it, or use a larger context, or a model that has one.",
            detail={"prompt_tokens": len(prompt), "context_tokens": context_tokens},
        )
    limit = context_tokens
    if max_tokens is not None:
        limit = min(limit, len(prompt) + max_tokens)
    return Sequence(
        id=request_id,
        tokens=list(prompt),
        prompt_count=len(prompt),
        length_limit=limit,
        key=key,
        priority_key=priority_key,
    )


def common_length(first: list[int], second: list[int]) -> int:
    """Return how many leading tokens two lists share."""
    limit = min(len(first), len(second))
    start = 0
    width = 256
    # Comparing slices runs in C; only the block that differs is looked at token by token.
    while start < limit:
        end = min(limit, start + width)
        if first[start:end] != second[start:end]:
            for index in range(start, end):
                if first[index] != second[index]:
                    return index
        start = end
        width = min(width * 2, 65_536)
    return limit
