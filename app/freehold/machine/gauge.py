"""Measures a loaded engine: seconds per step of decode and of prompts, by its own record.

Random tokens in, greedy tokens out. A step's cost is from the beginning of one to the beginning
of the next, so what the engine does between them counts; the median of many stands for it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from freehold.engine.process import ProcessEngine
from freehold.engine.protocol import Done, Failed, Steps
from freehold.engine.requests import (
    GenerateRequest,
    LoadOptions,
    ModelInfo,
    SamplingParams,
    TextPrompt,
)
from freehold.errors import AppError

GREEDY: Final = SamplingParams(temperature=0, ignore_eos=True)
# The first steps find caches cold and the number of threads unknown.
WARM_STEPS: Final = 8


StepRecord = tuple[float, float, tuple[tuple[str, int, int, int], ...]]

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one run cost.

    decode_s: of one step that gives `streams` sequences a token each, at `context_tokens` of each.
    prefill_s: of the whole prompt of `prompt_tokens`, computed `chunk_tokens` at a time.
    """

    streams: int
    prompt_tokens: int
    context_tokens: float
    decode_s: float
    prefill_s: float
    chunk_tokens: int


class Gauge:
    """A loaded engine that is measured."""

    def __init__(self, engine: ProcessEngine, info: ModelInfo) -> None:
        self._engine = engine
        self._info = info
        self._steps: list[StepRecord] = []
        self._seed = random.Random(1)  # noqa: S311 - tokens that mean nothing
        engine.on_steps = self._take

    @property
    def pid(self) -> int | None:
        """Return the engine's process id."""
        return self._engine.pid

    def _take(self, told: Steps) -> None:
        self._steps += told.steps

    async def run(self, prompt_tokens: int, decode_tokens: int, streams: int = 1) -> Reading:
        """Return what a prompt and an answer of so many tokens cost, for each of `streams`.

        Raises: AppError as the engine's.
        """
        self._steps.clear()
        number = next(_numbers)
        await asyncio.gather(
            *(
                self._one(f"gauge-{number}-{n}", prompt_tokens, decode_tokens)
                for n in range(streams)
            )
        )
        return read_steps(self._steps, streams, prompt_tokens)

    async def _one(self, name: str, prompt_tokens: int, decode_tokens: int) -> None:
        vocabulary = self._info.vocab_size
        tokens = tuple(self._seed.randrange(vocabulary // 2) for _ in range(prompt_tokens))
        request = GenerateRequest(
            id=name,
            key=name,  # nothing of it is found again
            prompt=TextPrompt(tokens=tokens),
            max_tokens=decode_tokens,
            sampling=GREEDY,
        )
        events = self._engine.generate(request)
        async with aclosing(events):  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Failed):
                    raise AppError(event.error.code, event.error.message, event.error.hint)
                if isinstance(event, Done):
                    return


def read_steps(steps: list[StepRecord], streams: int, prompt_tokens: int) -> Reading:
    """Return what the steps of one run cost.

    Raises: ValueError if there are no steps to read it from.
    """
    prompts = [step for step in steps if any(work[1] for work in step[2])]
    decode = [step for step in steps if sum(work[2] for work in step[2]) == streams]
    decode = [step for step in decode if not any(work[1] for work in step[2])][WARM_STEPS:]
    periods = [after[0] - before[0] for before, after in itertools.pairwise(decode)]
    if not periods:
        raise ValueError("too few steps to measure")
    read = statistics.median(sum(work[3] for work in step[2]) / streams for step in decode)
    return Reading(
        streams=streams,
        prompt_tokens=prompt_tokens,
        context_tokens=read,
        decode_s=quick_time(periods),
        prefill_s=sum(end - start for start, end, _ in prompts),
        chunk_tokens=max((sum(work[1] for work in step[2]) for step in prompts), default=0),
    )


def quickest(readings: Sequence[Reading]) -> Reading:
    """Return the quickest answer and the quickest prompt of the same run done several times."""
    return replace(
        readings[0],
        decode_s=min(reading.decode_s for reading in readings),
        prefill_s=min(reading.prefill_s for reading in readings),
        context_tokens=statistics.median(reading.context_tokens for reading in readings),
    )


def quick_time(seconds: Sequence[float]) -> float:
    """Return the lower quartile."""
    ordered = sorted(seconds)
    return ordered[len(ordered) // 4]


@asynccontextmanager
async def gauged(options: LoadOptions) -> AsyncIterator[Gauge]:
    """Load a model in an engine of its own, and end it afterwards.

    Raises: AppError as loading does.
    """
    engine = ProcessEngine()
    info = await engine.load(options)
    try:
        yield Gauge(engine, info)
    finally:
        await engine.close()
