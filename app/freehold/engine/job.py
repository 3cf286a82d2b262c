"""One request inside the worker, from its preparation to its last delta."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from freehold.engine.native_step import TokenSampler
from freehold.engine.output import OutputReader
from freehold.engine.requests import (
    GenerateRequest,
    Timings,
    TokenLogprob,
    Usage,
    WireError,
)
from freehold.engine.sequences import FinishReason, Sequence
from freehold.errors import AppError


@dataclass(slots=True, eq=False)
class Job:
    """A request that is ready to run.

    The decode thread owns `sequence`, `sampler` and the times; the emit thread owns `output`.
    """

    request: GenerateRequest
    sequence: Sequence
    sampler: TokenSampler
    output: OutputReader
    received_s: float
    started_s: float | None = None
    first_token_s: float | None = None
    ended_s: float | None = None
    told_progress_s: float = field(default=0.0)

    @property
    def id(self) -> str:
        return self.request.id

    def usage(self) -> Usage:
        """Return the tokens so far; tokens after a stop string do not count."""
        return Usage(
            prompt_tokens=self.sequence.prompt_count,
            cached_tokens=self.sequence.cached_tokens,
            completion_tokens=self.output.token_count,
            reasoning_tokens=self.output.reasoning_tokens,
        )

    def timings(self) -> Timings:
        """Return the durations of a job that ended, and the speeds that follow."""
        ended = self.ended_s or time.monotonic()
        started = self.started_s or ended
        first = self.first_token_s or ended
        prefill_s, decode_s = max(0.0, first - started), max(0.0, ended - first)
        computed = self.sequence.prompt_count - self.sequence.cached_tokens
        # The first token comes with the prompt; decoding yields those after it.
        decoded = self.output.token_count - 1
        return Timings(
            queue_s=max(0.0, started - self.received_s),
            prefill_s=prefill_s,
            decode_s=decode_s,
            first_token_s=max(0.0, first - self.received_s),
            decode_tokens_per_s=decoded / decode_s if decode_s > 0 and decoded > 0 else 0.0,
            prefill_tokens_per_s=computed / prefill_s if prefill_s > 0 else 0.0,
        )


class TokenOut(NamedTuple):
    """A token of a job, and how the job ended if this was the last."""

    job: Job
    piece: bytes
    logprob: TokenLogprob | None = None
    end: FinishReason | None = None


class Ended(NamedTuple):
    """A job that ended without a further token."""

    job: Job
    end: FinishReason
    error: WireError | None = None


class Progress(NamedTuple):
    """How much of a job's prompt is computed."""

    job: Job
    done: int


class Place(NamedTuple):
    """Where a job that waits for a slot stands: `ahead` of the `waiting` start before it."""

    job: Job
    ahead: int
    waiting: int


Record = TokenOut | Ended | Progress | Place
Handover = deque[list[TokenOut] | Ended | Progress | Place]


def wire_error(error: AppError) -> WireError:
    """Return an error as it crosses the pipe."""
    return WireError(
        code=error.code,
        message=error.message,
        hint=error.hint,
        retryable=error.retryable,
        detail=error.detail,
    )
