"""A Chats page at work on a scriptable server, for tests and benchmarks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from doubles.client import FakeClient
from doubles.conversation_tree import Conversation
from doubles.loop_probe import LoopProbe
from doubles.waiting import until
from freehold.ui.chats.message_view import AssistantMessage, UserMessage
from freehold.ui.chats.page import ChatsPage
from freehold.ui.state.session import Session
from freehold.ui.tasks import end_all
from freehold.ui.theme import Theme
from freehold.wire import EngineState, Message, ModelEntry, ReplyDelta, ReplyFinished

MODEL = ModelEntry(
    ref="tiny",
    name="Tiny 1B",
    arch="llama",
    bytes=1_200_000_000,
    path="/m/tiny.gguf",
    origin="imported",
    ready=True,
    quant="Q4_K_M",
)
OTHER = ModelEntry(
    ref="big",
    name="Big 70B",
    arch="llama",
    bytes=42_000_000_000,
    path="/m/big.gguf",
    origin="imported",
    ready=True,
    quant="Q5_K_M",
)
READY = EngineState(ref="tiny", phase="ready", fraction=1.0, context_tokens=8192)


@dataclass
class ChatDesk:
    """A page, its session and its server."""

    client: FakeClient
    session: Session
    page: ChatsPage

    def write(self, text: str) -> None:
        """Type and press Enter."""
        self.page.composer.box.setPlainText(text)
        QTest.keyClick(self.page.composer.box, Qt.Key.Key_Return)

    @property
    def answers(self) -> list[AssistantMessage]:
        return [v for v in self.page.transcript.views if isinstance(v, AssistantMessage)]

    @property
    def questions(self) -> list[UserMessage]:
        return [v for v in self.page.transcript.views if isinstance(v, UserMessage)]

    async def ask(self, text: str, answer: str = "Fine.") -> AssistantMessage:
        """Ask and wait for the whole answer."""
        before = self.page.conversation.total
        self.client.script_reply([answer])
        self.write(text)
        await until(lambda: self.page.conversation.total >= before + 2)
        await self.idle()
        return self.answers[-1]

    async def idle(self) -> None:
        """Wait until no answer is under way and all is drawn."""
        await until(lambda: not self.page.conversation.busy)
        await until(lambda: self.page.transcript.is_settled)

    async def stream(self, pieces: Sequence[str], tokens_per_s: float) -> LoopProbe:
        """Stream an answer at a steady speed; return what the event loop's probe saw."""
        self.client.script_reply([], hold=True)
        self.write("Write at length")
        await until(lambda: self.page.conversation.reply is not None)
        await until(lambda: self.page.transcript.is_settled)
        reply = self.page.conversation.reply
        assert reply is not None
        chat_id = reply.message.chat_id
        probe = LoopProbe(self.page)
        probe.start()
        began, sent, offset = time.perf_counter(), 0, 0
        while sent < len(pieces):
            due = min(len(pieces), int((time.perf_counter() - began) * tokens_per_s) + 1)
            for piece in pieces[sent:due]:
                delta = ReplyDelta(
                    chat_id=chat_id,
                    message_id=reply.id,
                    part="content",
                    offset=offset,
                    text=piece,
                    tokens_per_s=tokens_per_s,
                )
                self.session.event_received.emit(delta)
                offset += len(piece)
            sent = due
            await asyncio.sleep(0.004)
        final = self.client.conversations.update(
            reply.id, content="".join(pieces), status="complete"
        )
        self.session.event_received.emit(ReplyFinished(chat_id=chat_id, message=final))
        await self.idle()
        probe.stop()
        return probe

    def store_chat(self, messages: Sequence[str]) -> str:
        """Store a chat of questions and answers in turn; return its id."""
        chat = IndexedConversation(
            id=self.client.conversations.new_id("chat"),
            title="A long chat",
            created_at=1e9,
            updated_at=time.time(),
            model_ref=MODEL.ref,
        )
        parent: str | None = None
        for number, content in enumerate(messages):
            message = Message(
                id=f"{chat.id}-{number}",
                chat_id=chat.id,
                parent_id=parent,
                role="assistant" if number % 2 else "user",
                content=content,
                model_ref=MODEL.ref,
                created_at=1e9 + number,
            )
            chat.messages[message.id] = message
            chat.by_parent[parent] = (message.id,)
            parent = message.id
        self.client.conversations._by_id[chat.id] = chat
        return chat.id


class IndexedConversation(Conversation):
    """A chat of thousands of messages that answers as fast as a database."""

    def __init__(self, **fields: object) -> None:
        super().__init__(**fields)  # type: ignore[arg-type]
        self.by_parent: dict[str | None, tuple[str, ...]] = {}

    def children(self, parent_id: str | None) -> tuple[str, ...]:
        return self.by_parent.get(parent_id, ())

    def add(self, message: Message) -> Message:
        known = self.by_parent.get(message.parent_id, ())
        self.by_parent[message.parent_id] = (*known, message.id)
        return super().add(message)


@asynccontextmanager
async def open_desk(width: int = 1100, height: int = 760) -> AsyncIterator[ChatDesk]:
    """Open a page on a server with two models, one of them loaded."""
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    client = FakeClient(models=(MODEL, OTHER), engines=(READY,))
    theme = Theme(app, setting="light")
    session = Session(client, retry_s=(0.02,))
    page = ChatsPage(session, theme)
    page.resize(width, height)
    page.show()
    session.start()
    try:
        await until(lambda: session.is_connected and page.conversation.chat.model_ref)
        yield ChatDesk(client, session, page)
    finally:
        page.close()
        shiboken6.delete(page)
        await session.stop()
        await end_all()
        shiboken6.delete(session)
        shiboken6.delete(theme)
