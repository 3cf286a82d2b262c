"""The text of one reply on its way to disk and then to the windows.

Text is stored before it is told, and told at most every 50 ms: what came in between is merged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from freehold.chats import tree
from freehold.chats.text import scrub
from freehold.engine.requests import ToolCallDelta
from freehold.errors import AppError
from freehold.storage.connection import Database
from freehold.wire import AnyEvent, Message, ReplyDelta

INTERVAL_S: Final = 0.05

Part = Literal["reasoning", "content"]
PARTS: Final[tuple[Part, ...]] = ("reasoning", "content")


class ReplyWriter:
    """Collects what the engine says for one message; `close` stores the rest.

    Attributes:
        failure: why text could not be stored; the reply ends with it.
    """

    def __init__(
        self,
        message: Message,
        database: Database,
        publish: Callable[[AnyEvent], None],
        *,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self.failure: Exception | None = None
        self._message = message
        self._database = database
        self._publish = publish
        self._interval_s = interval_s
        self._text: dict[Part, list[str]] = {part: [] for part in PARTS}
        self._fresh: dict[Part, list[str]] = {part: [] for part in PARTS}
        self._told: dict[Part, int] = dict.fromkeys(PARTS, 0)
        self._calls: dict[int, dict[str, Any]] = {}
        self._tokens = 0
        self._begun_at = 0.0
        self._marked = False
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"reply-{message.id}")
        self._task.add_done_callback(self._note_failure)

    @property
    def begun(self) -> bool:
        """Return whether any output came."""
        return self._begun_at > 0 or bool(self._calls)

    def text(self, part: Part) -> str:
        """Return everything that came of a part."""
        return "".join(self._text[part])

    def tool_calls(self) -> tuple[dict[str, Any], ...]:
        """Return the tool calls in OpenAI's shape."""
        return tuple(self._calls[index] for index in sorted(self._calls))

    def add(
        self, content: str, reasoning: str, calls: Sequence[ToolCallDelta], tokens: int
    ) -> None:
        """Take the next piece of output."""
        if not self._begun_at:
            self._begun_at = time.monotonic()
        self._tokens += tokens
        for call in calls:
            self._add_call(call)
        for part, text in (("reasoning", reasoning), ("content", content)):
            if text:
                clean = scrub(text)
                self._text[part].append(clean)  # type: ignore[index]
                self._fresh[part].append(clean)  # type: ignore[index]
                self._wake.set()

    async def close(self) -> None:
        """Store and tell what is left; further text is not taken."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self.failure is None:
            try:
                await self._flush()
            except AppError as error:
                self.failure = error

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            # Not to be torn apart by `close`: stored text must also be told.
            flushing = asyncio.ensure_future(self._flush())
            try:
                await asyncio.shield(flushing)
            except asyncio.CancelledError:
                await flushing
                raise
            await asyncio.sleep(self._interval_s)

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.failure = error

    async def _flush(self) -> None:
        fresh: list[tuple[Part, str]] = [
            (part, "".join(self._fresh[part])) for part in PARTS if self._fresh[part]
        ]
        if not fresh:
            return
        for part, _ in fresh:
            self._fresh[part] = []
        message_id, first = self._message.id, not self._marked

        def store(connection: Any) -> None:
            if first:
                connection.execute(
                    "UPDATE message SET status = 'streaming' WHERE id = ?", (message_id,)
                )
            for part, text in fresh:
                tree.append_text(connection, message_id, part, text)

        await self._database.write(store, durable=False)
        self._marked = True
        elapsed_s = time.monotonic() - self._begun_at
        rate = (self._tokens - 1) / elapsed_s if elapsed_s > 0.2 and self._tokens > 1 else 0.0
        for part, text in fresh:
            self._publish(
                ReplyDelta(
                    chat_id=self._message.chat_id,
                    message_id=message_id,
                    part=part,
                    offset=self._told[part],
                    text=text,
                    tokens_per_s=rate,
                )
            )
            self._told[part] += len(text)

    def _add_call(self, delta: ToolCallDelta) -> None:
        call = self._calls.setdefault(
            delta.index,
            {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
        )
        if delta.call_id:
            call["id"] = delta.call_id
        if delta.name:
            call["function"]["name"] = scrub(delta.name)
        call["function"]["arguments"] += scrub(delta.arguments)
