"""Running requests on a leased engine for an HTTP client, streamed or collected."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from freehold.engine.interface import Engine
from freehold.engine.protocol import Delta, Done, Failed, PrefillProgress
from freehold.engine.requests import GenerateRequest, TokenLogprob
from freehold.errors import AppError, internal
from freehold.server.counters import Counters
from freehold.server.error_answers import error_body
from freehold.server.event_stream import EventStream, run_while_connected
from freehold.server.gate import ABORT, Receive, Scope, Send

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class Call:
    """A tool call put together from its pieces."""

    call_id: str
    name: str
    arguments: str = ""


@dataclass(slots=True)
class Collected:
    """The whole output of one request."""

    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: dict[int, Call] = field(default_factory=dict)
    logprobs: list[TokenLogprob] = field(default_factory=list)

    def add(self, delta: Delta) -> None:
        """Put new output to the rest."""
        if delta.content:
            self.content.append(delta.content)
        if delta.reasoning:
            self.reasoning.append(delta.reasoning)
        self.logprobs.extend(delta.logprobs)
        for piece in delta.tool_calls:
            call = self.calls.setdefault(piece.index, Call("", ""))
            call.call_id = piece.call_id or call.call_id
            call.name = piece.name or call.name
            call.arguments += piece.arguments


async def follow(
    engine: Engine,
    request: GenerateRequest,
    on_delta: Callable[[Delta], Awaitable[None]],
    on_prefill: Callable[[PrefillProgress], None] | None = None,
) -> Done:
    """Run one request to its end; closing early cancels it in the engine."""
    async with aclosing(engine.generate(request)) as events:  # type: ignore[type-var]
        async for event in events:
            if isinstance(event, Delta):
                await on_delta(event)
            elif isinstance(event, Done):
                if event.finish_reason == "cancelled":
                    raise AppError(
                        "cancelled", "The request was ended by the server.", "Send it again."
                    )
                return event
            elif isinstance(event, Failed):
                raise AppError.from_dict(msgspec.to_builtins(event.error))
            elif on_prefill is not None and isinstance(event, PrefillProgress):
                on_prefill(event)
    raise AppError("engine_crashed", "The engine ended without an answer.", "Send it again.")


async def collect(engine: Engine, request: GenerateRequest) -> tuple[Collected, Done]:
    """Run one request and return everything it gave."""
    output = Collected()

    async def keep(delta: Delta) -> None:
        output.add(delta)

    done = await follow(engine, request, keep)
    return output, done


async def run_all(jobs: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Run jobs at once and return their results in order; the first failure ends the others."""
    if len(jobs) == 1:
        return [await jobs[0]]
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class StreamAnswer:
    """An ASGI answer whose body is written by `work` as server-sent events."""

    def __init__(
        self,
        route: str,
        counters: Counters,
        work: Callable[[EventStream], Coroutine[Any, Any, None]],
    ) -> None:
        self._route = route
        self._counters = counters
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = EventStream(send)

        async def run() -> None:
            try:
                await self._work(stream)
            except AppError as error:
                await fail(error)
            except Exception:  # the edge: a bug of ours ends this answer, not the server
                log.exception("a stream of %s failed", self._route)
                await fail(internal())

        async def fail(error: AppError) -> None:
            if not stream.started:
                raise error
            await stream.finish(b"data: " + error_body(error, self._route) + b"\n\n")

        with counted(self._route, self._counters) as outcome:
            finished = await run_while_connected(receive, run(), stream.keep_alive)
            if not finished:
                outcome.status = 499
                abort = scope.get("extensions", {}).get(ABORT)
                if abort is not None:  # what a stuck reader did not take is thrown away
                    abort()


class JsonAnswer:
    """An ASGI answer whose JSON body `work` returns; given up when the client leaves."""

    def __init__(
        self, route: str, counters: Counters, work: Callable[[], Coroutine[Any, Any, bytes]]
    ) -> None:
        self._route = route
        self._counters = counters
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def run() -> None:
            body = await self._work()
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [
                        (b"content-type", b"application/json"),
                        (b"content-length", b"%d" % len(body)),
                    ],
                }
            )
            await send({"type": "http.response.body", "body": body})

        with counted(self._route, self._counters) as outcome:
            finished = await run_while_connected(receive, run())
            outcome.status = 200 if finished else 499


@dataclass(slots=True)
class counted:  # noqa: N801 - used as a context, reads as a word
    """Counts one request by its outcome."""

    route: str
    counters: Counters
    status: int = 200

    def __enter__(self) -> counted:
        self.counters.in_flight += 1
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.counters.in_flight -= 1
        if isinstance(error, AppError):
            self.status = error.status
        elif error is not None:
            self.status = 500
        self.counters.disconnects += self.status == 499
        self.counters.requests[self.route, self.status] += 1
