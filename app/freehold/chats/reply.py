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
from freehold.documents.citation_marks import MarkFilter
from freehold.documents.generation import KEY as DOCUMENTS_KEY
from freehold.documents.grounding import ABSENT, Grounded, Grounding, Scope, conclude
from freehold.documents.prompt import Turn
from freehold.documents.scopes import scope_of
from freehold.engine.interface import Engine, EngineSource
from freehold.engine.protocol import Delta, Done, Failed, PrefillProgress, Queued
from freehold.engine.requests import ChatPrompt, GenerateRequest
from freehold.errors import AppError
from freehold.storage.connection import Database
from freehold.wire import AnyEvent, ErrorInfo, Message, ReplyProgress, ReplyStats

PROGRESS_INTERVAL_S: Final = 0.25
CRASH_CODES: Final = frozenset({"engine_crashed", "engine_stalled"})

ReplyPhase = Literal["queued", "loading", "prefill", "embedding", "reading"]
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
    system_prompt: str = ""
    scope: Scope | None = None


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
        grounding: Grounding | None = None,
    ) -> None:
        self.asked_to_end: Ending | None = None
        self.model_ref = message.model_ref
        self._message = message
        self._database = database
        self._engines = engines
        self._publish = publish
        self._grounding = grounding
        self._grounded: Grounded | None = None
        self._marks: MarkFilter | None = None
        self._raw: list[str] = []
        self._writer: ReplyWriter | None = None
        self._engine: Engine | None = None
        self._begun_s = time.monotonic()
        self._told_s = 0.0

    @property
    def is_grounded(self) -> bool:
        """Return whether it is answered from documents."""
        return self._grounded is not None

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
        async with self._engines.lease(self.model_ref, self._tell_loading) as lease:
            self._tell("queued", 0, 0)
            request = self._request(context)
            if context.scope is not None and self._grounding is not None:
                scope, turn = context.scope, to_turn(context.system_prompt, context.messages)
                self._grounded = await self._grounding.ground(
                    lease, scope, turn, self._tell_grounding
                )
                self._marks = MarkFilter()
                if self._grounded.messages is None:
                    return Ending("complete", None, ReplyStats(finish_reason="stop"))
                request = grounded_request(request, self._grounded.messages, context.sampling)
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
        content = writer.text("content") if writer else ""
        grounds = None
        if self._grounded is not None:
            text = "".join(self._raw) if self._grounded.messages is not None else ABSENT
            content, grounds = conclude(self._grounded, text)
        return msgspec.structs.replace(
            self._message,
            content=content,
            grounds=grounds,
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
                        content = event.content
                        if self._marks is not None:
                            self._raw.append(content)
                            content = self._marks.feed(content)
                        writer.add(content, event.reasoning, event.tool_calls, event.tokens)
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
            build_messages(system_prompt, history),
            msgspec.json.decode(sampling),
            model_ref,
            system_prompt,
            scope_of(connection, self._message.chat_id) if self._grounding is not None else None,
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

    def _tell_grounding(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if phase not in ("embedding", "reading"):
            return
        if done and now - self._told_s < PROGRESS_INTERVAL_S:
            return
        self._told_s = now
        self._tell(phase, done, total)  # type: ignore[arg-type]

    def _tell(self, phase: ReplyPhase, done: int, total: int) -> None:
        self._publish(
            ReplyProgress(
                chat_id=self._message.chat_id,
                message_id=self._message.id,
                phase=phase,
                done=done,
                total=total,
            )
        )


def to_turn(system_prompt: str, messages: tuple[dict[str, Any], ...]) -> Turn:
    """Return a branch as a question about documents with what was said before."""
    talk = [message for message in messages if message["role"] != "system"]
    question = str(talk[-1]["content"]) if talk else ""
    return Turn(question=question, history=tuple(talk[:-1]), wishes=system_prompt)


def grounded_request(
    request: GenerateRequest, messages: tuple[dict[str, Any], ...], sampling: dict[str, Any]
) -> GenerateRequest:
    """Return a request for an answer from documents: no tools, greedy unless the chat says how.

    Its key is the documents', so that their part of the prompt is found again in another chat.
    """
    prompt = request.prompt
    assert isinstance(prompt, ChatPrompt)
    params = request.sampling
    if "temperature" not in sampling:
        params = msgspec.structs.replace(params, temperature=0.0, seed=0)
    return msgspec.structs.replace(
        request,
        prompt=ChatPrompt(messages=messages, enable_thinking=prompt.enable_thinking),
        key=DOCUMENTS_KEY,
        sampling=params,
    )


def ending_of(error: AppError, asked: Ending | None) -> Ending:
    """Return how a reply ends that failed with `error`."""
    if asked is not None:
        return asked
    status: Status = "interrupted" if error.code in CRASH_CODES else "failed"
    return Ending(status, error_info(error))
