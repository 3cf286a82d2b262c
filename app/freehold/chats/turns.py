"""Turns: a question is stored, an engine answers it, and the answer is stored as it comes.

Whatever fails, the question and what came of the answer are kept. Every reply is a task; windows
may come and go.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from freehold.chats import tree
from freehold.chats.questions import Asked, Question, ask
from freehold.chats.reply import Answering, Ending, ending_of
from freehold.chats.rows import error_info
from freehold.chats.text import check_text
from freehold.documents.grounding import Grounding
from freehold.engine.interface import EngineSource
from freehold.errors import AppError
from freehold.storage.connection import Database
from freehold.wire import AnyEvent, Changed, Message, Notice, ReplyFinished, Sent

log = logging.getLogger(__name__)

STOP_WAIT_S: Final = 5.0
SAVE_AGAIN_S: Final = 2.0
MAX_TOKEN_CHARACTERS: Final = 200


@dataclass(slots=True)
class Running:
    """A reply under way."""

    message: Message
    answering: Answering
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Turns:
    """The turn service; `choose_model` says which model answers in a chat that names none.

    grounding: how chats with documents are answered; None where there are no documents.
    """

    def __init__(
        self,
        database: Database,
        engines: EngineSource,
        publish: Callable[[AnyEvent], None],
        grounding: Grounding | None = None,
        *,
        choose_model: Callable[[], Awaitable[str]],
        clock: Callable[[], float] = time.time,
        save_again_s: float = SAVE_AGAIN_S,
    ) -> None:
        self._database = database
        self._engines = engines
        self._publish = publish
        self._choose_model = choose_model
        self._grounding = grounding
        self._clock = clock
        self._save_again_s = save_again_s
        self._running: dict[str, Running] = {}
        self._unsaved: dict[str, Message] = {}
        self._saving: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def running(self) -> frozenset[str]:
        """Return the ids of the replies under way."""
        return frozenset(self._running)

    # --- asking ------------------------------------------------------------------------------

    async def send(self, chat_id: str, text: str, *, parent_id: str | None, token: str) -> Sent:
        """Store a user message under `parent_id` and begin its reply.

        The same token again returns the same messages, so a retry never asks twice.
        """
        _check_question(text, token)
        return await self._ask(Question(chat_id, parent_id, text, token, self._clock()))

    async def regenerate(self, message_id: str) -> Sent:
        """Begin another reply beside `message_id` (or below it, if it is a question)."""
        message = await self._find(message_id)
        parent_id = message.id if message.role == "user" else message.parent_id
        if parent_id is None:
            raise AppError(
                "invalid_request",
                "There is no question before this message.",
                "Regenerate an answer, or write a question.",
                detail={"message_id": message_id},
            )
        return await self._ask(Question(message.chat_id, parent_id, None, None, self._clock()))

    async def edit(self, message_id: str, text: str, *, token: str) -> Sent:
        """Store `text` as a sibling of the user message `message_id` and begin its reply."""
        _check_question(text, token)
        message = await self._find(message_id)
        if message.role != "user":
            raise AppError(
                "invalid_request",
                "Only your own messages can be edited.",
                "Regenerate the answer instead.",
                detail={"message_id": message_id},
            )
        return await self._ask(
            Question(message.chat_id, message.parent_id, text, token, self._clock())
        )

    # --- ending ------------------------------------------------------------------------------

    async def stop(self, message_id: str) -> None:
        """End a reply and wait until what came is stored; one that has ended stays as it is."""
        running = self._running.get(message_id)
        if running is None:
            await self._find(message_id)
            return
        await self._end([running], "stopped")

    async def stop_chat(self, chat_id: str) -> None:
        """End every reply of a chat."""
        replies = [r for r in self._running.values() if r.message.chat_id == chat_id]
        await self._end(replies, "stopped")

    async def close(self) -> None:
        """End every reply, marked as interrupted; the server goes down."""
        self._closing = True
        await self._end(list(self._running.values()), "interrupted")
        for task in self._saving:
            task.cancel()
        await asyncio.gather(*self._saving, return_exceptions=True)
        for message in list(self._unsaved.values()):
            try:
                await self._store(message)
            except AppError as error:
                log.error("a reply could not be stored at the end: %s", error.message)

    # --- reading over -------------------------------------------------------------------------

    def overlay(self, message: Message) -> Message:
        """Return a message as it is, where the disk could not take its final state yet."""
        return self._unsaved.get(message.id, message)

    # --- inside ------------------------------------------------------------------------------

    async def _find(self, message_id: str) -> Message:
        return await self._database.read(lambda c: tree.find_message(c, message_id))

    async def _ask(self, question: Question) -> Sent:
        if self._closing:
            raise AppError("busy", "Freehold is shutting down.", "Start it again.", retryable=True)
        asked: Asked = await asyncio.shield(self._store_and_begin(question))
        return asked.sent

    async def _store_and_begin(self, question: Question) -> Asked:
        """Store and start as one step: a client that leaves in between still gets its answer."""
        has_documents = self._grounding is not None
        asked = await self._database.write(lambda c: ask(c, question, has_documents=has_documents))
        if asked.fresh:
            self._begin(asked.sent.reply)
            self._tell(question.chat_id)
        return asked

    def _begin(self, reply: Message) -> None:
        answering = Answering(reply, self._database, self._engines, self._publish, self._grounding)
        running = Running(reply, answering)
        self._running[reply.id] = running
        running.task = asyncio.create_task(self._run(running), name=f"turn-{reply.id}")

    async def _run(self, running: Running) -> None:
        answering = running.answering
        try:
            ending = await self._answer(running)
            await self._finish(await _final(answering, ending))
        finally:
            self._running.pop(running.message.id, None)
            running.finished.set()

    async def _answer(self, running: Running) -> Ending:
        try:
            return await running.answering.run(self._choose_model)
        except asyncio.CancelledError:
            return running.answering.asked_to_end or Ending("interrupted")
        except AppError as error:
            return ending_of(error, running.answering.asked_to_end)
        except Exception:  # a bug must not leave a reply that waits for ever
            log.exception("reply %s failed", running.message.id)
            return Ending("failed", error_info(internal_error()))

    async def _finish(self, message: Message) -> None:
        """Store the final state, then tell it; a disk that refuses is tried again later."""
        try:
            await self._store(message)
        except AppError as error:
            if error.code == "not_found":
                return
            self._unsaved[message.id] = message
            self._publish(Notice(level="error", error=error_info(error)))
            task = asyncio.create_task(self._store_later(message), name=f"save-{message.id}")
            self._saving.add(task)
            task.add_done_callback(self._saving.discard)
        self._publish(ReplyFinished(chat_id=message.chat_id, message=message))
        self._tell(message.chat_id)

    async def _store(self, message: Message) -> None:
        now = self._clock()

        def fold(connection: Any) -> None:
            tree.fold(connection, message)
            used = (
                message.stats.prompt_tokens + message.stats.completion_tokens
                if message.stats
                else 0
            )
            connection.execute(
                "UPDATE chat SET updated_at = max(updated_at, ?1),"
                " context_used_tokens = iif(?2 > 0, ?2, context_used_tokens) WHERE id = ?3",
                (now, used, message.chat_id),
            )

        await self._database.write(fold)
        self._unsaved.pop(message.id, None)

    async def _store_later(self, message: Message) -> None:
        while True:
            await asyncio.sleep(self._save_again_s)
            try:
                await self._store(message)
            except AppError as error:
                if error.code == "not_found":
                    self._unsaved.pop(message.id, None)
                    return
                continue
            self._tell(message.chat_id)
            return

    async def _end(self, replies: list[Running], status: str) -> None:
        for running in replies:
            await running.answering.end(
                Ending("stopped") if status == "stopped" else shutdown_ending(), running.task
            )
        waits = [asyncio.create_task(running.finished.wait()) for running in replies]
        if not waits:
            return
        _, late = await asyncio.wait(waits, timeout=STOP_WAIT_S)
        if late:
            # The engine does not react; the reply ends here all the same.
            for running in replies:
                if running.task is not None and not running.finished.is_set():
                    running.task.cancel()
            await asyncio.wait(late, timeout=STOP_WAIT_S)
        for wait in waits:
            wait.cancel()

    def _tell(self, chat_id: str) -> None:
        self._publish(Changed(topic="chat", id=chat_id))
        self._publish(Changed(topic="chats"))


async def _final(answering: Answering, ending: Ending) -> Message:
    """Return a reply's final state; checking its citations takes a while and has a thread."""
    if not answering.is_grounded:
        return answering.final(ending)
    work = asyncio.ensure_future(asyncio.to_thread(answering.final, ending))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:  # what came is stored in any case
        return await work


def internal_error() -> AppError:
    """Return what a person reads when a bug of ours ended a reply."""
    return AppError(
        "internal",
        "Something went wrong inside Freehold while this answer was written.",
        "Ask again; the log has the details.",
    )


def shutdown_ending() -> Ending:
    """Return how replies end when the server goes down."""
    return Ending(
        "interrupted",
        error_info(
            AppError(
                "interrupted",
                "Freehold was shut down while this answer was being written.",
                "What came is kept; regenerate it for a full answer.",
                retryable=True,
            )
        ),
    )


def _check_question(text: str, token: str) -> None:
    check_text(text)
    if not text.strip():
        raise AppError(
            "invalid_request",
            "The message is empty.",
            "Write something, then send.",
            detail={"param": "text"},
        )
    if not token or len(token) > MAX_TOKEN_CHARACTERS:
        raise AppError(
            "invalid_request",
            f"The token must have 1 to {MAX_TOKEN_CHARACTERS} characters.",
            "Send a fresh random token with each new message.",
            detail={"param": "token"},
        )
    check_text(token, name="token")
