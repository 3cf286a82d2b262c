"""One reply: from a waiting row to its final state, by way of an engine."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from freehold.chats import tree
from freehold.chats.prompts import build_messages
from freehold.chats.reply_writer import ReplyWriter
from freehold.chats.rows import error_info, no_chat
from freehold.chats.sampling import to_params
from freehold.engine.interface import Engine, EngineSource
from freehold.engine.protocol import Delta, Done, Failed, PrefillProgress, Queued
from freehold.engine.requests import ChatPrompt, GenerateRequest
from freehold.errors import AppError
from freehold.storage.connection import Database
from freehold.wire import AnyEvent, ErrorInfo, Message, ReplyProgress, ReplyStats

PROGRESS_INTERVAL_S: Final = 0.25
CRASH_CODES: Final = frozenset({"engine_crashed", "engine_stalled"})

Status = Literal["complete", "stopped", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a reply ended."""

    status: Status
    error: ErrorInfo | None = None
    stats: ReplyStats | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What the chat says about a reply."""

    messages: tuple[dict[str, Any], ...]
    sampling: dict[str, Any]
    model_ref: str


class Answering:
    """The work on one reply.

    Attributes:
        asked_to_end: how it ends because somebody asked for it; None while it may go on.
        model_ref: the model that answers, once known.
    """

    def __init__(
        self,
        message: Message,
        database: Database,
        engines: EngineSource,
        publish: Callable[[AnyEvent], None],
    ) -> None:
        self.asked_to_end: Ending | None = None
        self.model_ref = message.model_ref
        self._message = message
        self._database = database
        self._engines = engines
        self._publish = publish
        self._writer: ReplyWriter | None = None
        self._engine: Engine | None = None
        self._begun_s = time.monotonic()
        self._told_s = 0.0

    async def run(self, choose_model: Callable[[], Awaitable[str]]) -> Ending:
        """Answer, and return how it ended.

        Raises: AppError with the cause when it failed.
        """
        self._tell("queued", 0, 0)
        context = await self._database.read(self._read_context)
        self.model_ref = context.model_ref or await choose_model()
        if not self.model_ref:
            raise AppError(
                "model_not_found",
                "No model is chosen for this chat.",
                "Choose one in the list above the chat, or import a GGUF file first.",
            )
        request = self._request(context)
        async with self._engines.lease(self.model_ref, self._tell_loading) as lease:
            self._tell("queued", 0, 0)
            self._writer = ReplyWriter(self._message, self._database, self._publish)
            self._engine = lease.engine
            try:
                ending = await self._follow(lease.engine, request, self._writer)
            finally:
                self._engine = None
                await self._writer.close()
            if self._writer.failure is not None:
                raise self._writer.failure
            return ending

    async def end(self, ending: Ending, task: asyncio.Task[None] | None) -> None:
        """Ask the reply to end: the engine stops, or the wait for it is given up."""
        self.asked_to_end = ending
        engine = self._engine
        if engine is not None:
            # A dead engine ends the reply by itself.
            with contextlib.suppress(AppError):
                await engine.cancel(self._message.id)
        elif task is not None and self._writer is None:
            task.cancel()

    def final(self, ending: Ending) -> Message:
        """Return the message as it is stored for good."""
        writer = self._writer
        return msgspec.structs.replace(
            self._message,
            content=writer.text("content") if writer else "",
            reasoning=writer.text("reasoning") if writer else "",
            tool_calls=writer.tool_calls() if writer else (),
            status=ending.status,
            error=ending.error,
            stats=ending.stats,
            model_ref=self.model_ref,
        )

    # --- inside ------------------------------------------------------------------------------

    async def _follow(
        self, engine: Engine, request: GenerateRequest, writer: ReplyWriter
    ) -> Ending:
        if self.asked_to_end is not None:
            return self.asked_to_end
        events = engine.generate(request)
        async with contextlib.aclosing(events) as stream:  # type: ignore[type-var]
            async for event in stream:
                if writer.failure is not None:
                    raise writer.failure
                match event:
                    case Delta():
                        writer.add(event.content, event.reasoning, event.tool_calls, event.tokens)
                    case Queued():
                        self._tell("queued", event.ahead, event.waiting)
                    case PrefillProgress():
                        if not writer.begun:
                            self._tell("prefill", event.done, event.total)
                    case Failed():
                        raise AppError.from_dict(msgspec.to_builtins(event.error))
                    case Done():
                        return self._ending(event)
        raise AppError(
            "engine_crashed",
            "The engine stopped answering before the end of the answer.",
            "Ask again: the model is loaded anew.",
            retryable=True,
        )

    def _ending(self, done: Done) -> Ending:
        usage, timings = done.usage, done.timings
        stats = ReplyStats(
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            completion_tokens=usage.completion_tokens,
            decode_tokens_per_s=timings.decode_tokens_per_s,
            prefill_tokens_per_s=timings.prefill_tokens_per_s,
            first_token_s=timings.first_token_s,
            duration_s=time.monotonic() - self._begun_s,
            finish_reason=done.finish_reason,
            energy_joules=usage.energy.joules if usage.energy is not None else None,
            energy_level=usage.energy.level if usage.energy is not None else "",
            energy_money=usage.energy.money if usage.energy is not None else "",
            energy_currency=usage.energy.currency if usage.energy is not None else "",
        )
        if self.asked_to_end is not None and done.finish_reason == "cancelled":
            return Ending(self.asked_to_end.status, self.asked_to_end.error, stats)
        return Ending("stopped" if done.finish_reason == "cancelled" else "complete", None, stats)

    def _read_context(self, connection: Any) -> Context:
        row = connection.execute(
            "SELECT system_prompt, sampling, model_ref FROM chat WHERE id = ?",
            (self._message.chat_id,),
        ).fetchone()
        if row is None:
            raise no_chat(self._message.chat_id)
        system_prompt, sampling, model_ref = row
        history = tree.upwards(connection, self._message.parent_id)
        return Context(
            build_messages(system_prompt, history), msgspec.json.decode(sampling), model_ref
        )

    def _request(self, context: Context) -> GenerateRequest:
        return GenerateRequest(
            id=self._message.id,
            prompt=ChatPrompt(
                messages=context.messages,
                enable_thinking=context.sampling.get("enable_thinking"),
            ),
            key=f"window:{self._message.chat_id}",
            priority_key="window",
            max_tokens=context.sampling.get("max_tokens"),
            sampling=to_params(context.sampling),
        )

    def _tell_loading(self, fraction: float) -> None:
        now = time.monotonic()
        if fraction < 1 and now - self._told_s < PROGRESS_INTERVAL_S:
            return
        self._told_s = now
        self._tell("loading", round(fraction * 100), 100)

    def _tell(self, phase: Literal["queued", "loading", "prefill"], done: int, total: int) -> None:
        self._publish(
            ReplyProgress(
                chat_id=self._message.chat_id,
                message_id=self._message.id,
                phase=phase,
                done=done,
                total=total,
            )
        )


def ending_of(error: AppError, asked: Ending | None) -> Ending:
    """Return how a reply ends that failed with `error`."""
    if asked is not None:
        return asked
    status: Status = "interrupted" if error.code in CRASH_CODES else "failed"
    return Ending(status, error_info(error))
