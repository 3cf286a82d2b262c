"""Tunes a model on this machine: real launches, one after another, until time is up."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec

from freehold.engine.requests import LoadOptions
from freehold.errors import AppError
from freehold.machine.gauge import Reading, gauged
from freehold.machine.tuning import SETTINGS, Axis, next_trial, setting_words, turn_s
from freehold.wire import LoadRequest
from freehold.wire_machine import TuneRow

BUDGET_S: Final = 180.0
PROMPT_TOKENS: Final = 512
DECODE_TOKENS: Final = 48
CONTEXT_TOKENS: Final = 4096

Launch = Callable[[LoadRequest], Awaitable[Reading]]
Tell = Callable[[float, str, Sequence[TuneRow]], None]


class Clock(Protocol):
    def __call__(self) -> float: ...


async def tune(
    axes: Sequence[Axis],
    before: LoadRequest,
    launch: Launch,
    tell: Tell,
    *,
    budget_s: float = BUDGET_S,
    clock: Clock = time.monotonic,
) -> tuple[TuneRow, ...]:
    """Return a row for each setting that was tried; the first is what was set before.

    launch: loads a model with settings and measures it. tell: is told the share of the time that
    is used, what is tried now, and the rows so far. A setting that does not load is a row too.
    """
    rows: list[TuneRow] = []
    began = clock()
    while True:
        used = clock() - began
        settings = next_trial(axes, before, rows, budget_s - used)
        if settings is None:
            return tuple(rows)
        tell(min(1.0, used / budget_s), f"Trying {setting_words(settings)}", rows)
        started = clock()
        try:
            reading = await launch(settings)
            row = to_row(settings, reading, clock() - started)
        except (AppError, ValueError) as error:
            row = TuneRow(
                settings=settings,
                words=setting_words(settings),
                took_s=clock() - started,
                problem=_problem(error),
            )
        rows.append(row)


def to_row(settings: LoadRequest, reading: Reading, took_s: float) -> TuneRow:
    """Return a measurement as a row of the table."""
    prompt = reading.prompt_tokens / max(reading.prefill_s, 1e-9)
    decode = reading.streams / max(reading.decode_s, 1e-9)
    return TuneRow(
        settings=settings,
        words=setting_words(settings),
        decode_tokens_per_s=round(decode, 2),
        prefill_tokens_per_s=round(prompt, 1),
        turn_s=turn_s(prompt, decode),
        took_s=took_s,
    )


def _problem(error: Exception) -> str:
    return error.message if isinstance(error, AppError) else "It could not be measured."


async def launch(options: LoadOptions, settings: LoadRequest) -> Reading:
    """Load a model with settings over its planned options, and measure a turn.

    Raises: AppError as engines do; ValueError if there was too little to measure.
    """
    given = {
        name: value
        for name in SETTINGS
        if name != "cpu_expert_layers"  # the plan has seen to it
        if (value := getattr(settings, name)) is not None
    }
    tuned = msgspec.structs.replace(options, **given, parallel=1)
    async with gauged(tuned) as gauge:
        return await gauge.run(PROMPT_TOKENS, DECODE_TOKENS)
