"""The chats of `FakeClient`: conversations in memory, and replies that come as scripted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from doubles.client_replies import Reply, error_info
from doubles.conversation_tree import BUSY, Conversation
from freehold.errors import AppError
from freehold.wire import (
    Changed,
    Chat,
    ChatSummary,
    Message,
    ReplyDelta,
    ReplyFinished,
    ReplyProgress,
    ReplyStats,
    SearchHit,
    Sent,
)
from freehold.wire_grounds import AttachedDocument

if TYPE_CHECKING:
    from doubles.client import FakeClient


class FakeChatCalls:
    """`Client`'s calls of chats."""

    async def chats(self: FakeClient, *, trashed: bool = False) -> tuple[ChatSummary, ...]:
        await self._enter("chats", trashed=trashed)
        return self.conversations.summaries(trashed=trashed)

    async def create_chat(self: FakeClient, *, model_ref: str = "", title: str = "") -> Chat:
        await self._enter("create_chat", model_ref=model_ref, title=title)
        chat = self.conversations.create(title=title, model_ref=model_ref, now=self._now())
        self._tell(chat)
        return chat.view()

    async def chat(
        self: FakeClient, chat_id: str, *, limit: int | None = None, before: str | None = None
    ) -> Chat:
        await self._enter("chat", chat_id=chat_id, limit=limit, before=before)
        return self.conversations.chat(chat_id).view(limit, before)

    async def update_chat(
        self: FakeClient,
        chat_id: str,
        *,
        title: str | None = None,
        model_ref: str | None = None,
        system_prompt: str | None = None,
        pinned: bool | None = None,
        sampling: dict[str, object] | None = None,
    ) -> ChatSummary:
        changes = {
            "title": title,
            "model_ref": model_ref,
            "system_prompt": system_prompt,
            "pinned": pinned,
            "sampling": sampling,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        await self._enter("update_chat", chat_id=chat_id, **given)
        chat = self.conversations.chat(chat_id)
        for name, value in given.items():
            setattr(chat, name, value)
        self._tell(chat)
        return chat.summary()

    async def save_draft(self: FakeClient, chat_id: str, text: str) -> None:
        await self._enter("save_draft", chat_id=chat_id, text=text)
        self.conversations.chat(chat_id).draft = text

    async def trash_chat(self: FakeClient, chat_id: str) -> None:
        await self._enter("trash_chat", chat_id=chat_id)
        chat = self.conversations.chat(chat_id)
        chat.trashed_at = self._now()
        self._tell(chat)
        for message_id in list(chat.messages):
            if message_id in self._running:
                await self.stop_reply(message_id)

    async def restore_chat(self: FakeClient, chat_id: str) -> None:
        await self._enter("restore_chat", chat_id=chat_id)
        chat = self.conversations.chat(chat_id)
        chat.trashed_at = None
        self._tell(chat)

    async def delete_chat(self: FakeClient, chat_id: str) -> None:
        await self._enter("delete_chat", chat_id=chat_id)
        chat = self.conversations.chat(chat_id)
        if chat.trashed_at is None:
            raise AppError(
                "conflict", "That chat is not in the trash.", "Move it to the trash first."
            )
        self.conversations.delete(chat_id)
        self._tell(chat)

    async def export_chat(self: FakeClient, chat_id: str, form: str = "markdown") -> str:
        await self._enter("export_chat", chat_id=chat_id, form=form)
        chat = self.conversations.chat(chat_id)
        if form == "json":
            return msgspec.json.encode(chat.view()).decode()
        return "\n\n".join([f"# {chat.title}", *(m.content for m in chat.branch())])

    async def search_chats(
        self: FakeClient, query: str, *, limit: int = 50
    ) -> tuple[SearchHit, ...]:
        await self._enter("search_chats", query=query, limit=limit)
        return self.conversations.search(query, limit)

    async def send(
        self: FakeClient, chat_id: str, text: str, *, parent_id: str | None, token: str
    ) -> Sent:
        await self._enter("send", chat_id=chat_id, text=text, parent_id=parent_id, token=token)
        chat = self.conversations.chat(chat_id)
        if token in self._tokens:
            return self._sent_before(token)
        if parent_id is not None and parent_id not in chat.messages:
            raise AppError("not_found", "That message is not in this chat.", "Reload the chat.")
        chat.draft = ""
        return self._ask(chat, parent_id, text, token)

    async def regenerate(self: FakeClient, message_id: str) -> Sent:
        await self._enter("regenerate", message_id=message_id)
        chat = self.conversations.holding(message_id)
        old = chat.messages[message_id]
        if old.role != "assistant":
            raise AppError(
                "invalid_request", "Only an answer can be written again.", "Choose an answer."
            )
        return Sent(user_message=None, reply=self._begin(chat, old.parent_id))

    async def edit(self: FakeClient, message_id: str, text: str, *, token: str) -> Sent:
        await self._enter("edit", message_id=message_id, text=text, token=token)
        chat = self.conversations.holding(message_id)
        old = chat.messages[message_id]
        if token in self._tokens:
            return self._sent_before(token)
        if old.role != "user":
            raise AppError(
                "invalid_request", "Only your own messages can be edited.", "Choose a question."
            )
        return self._ask(chat, old.parent_id, text, token)

    async def select(self: FakeClient, message_id: str) -> Chat:
        await self._enter("select", message_id=message_id)
        chat = self.conversations.holding(message_id)
        chat.choose(message_id)
        self.push(Changed(topic="chat", id=chat.id))
        return chat.view()

    async def message(self: FakeClient, message_id: str) -> Message:
        await self._enter("message", message_id=message_id)
        return self.conversations.holding(message_id).messages[message_id]

    async def stop_reply(self: FakeClient, message_id: str) -> None:
        await self._enter("stop_reply", message_id=message_id)
        self.conversations.holding(message_id)
        running = self._running.get(message_id)
        if running is not None:
            running[0].cancel()
            await asyncio.gather(running[0], return_exceptions=True)

    def _tell(self: FakeClient, chat: Conversation) -> None:
        self.push(Changed(topic="chats", id=chat.id))
        self.push(Changed(topic="chat", id=chat.id))

    def _sent_before(self: FakeClient, token: str) -> Sent:
        user_id, reply_id = self._tokens[token]
        messages = self.conversations.holding(reply_id).messages
        return Sent(user_message=messages[user_id], reply=messages[reply_id])

    def _ask(
        self: FakeClient, chat: Conversation, parent_id: str | None, text: str, token: str
    ) -> Sent:
        question = chat.add(
            Message(
                id=self.conversations.new_id("message"),
                chat_id=chat.id,
                parent_id=parent_id,
                role="user",
                content=text,
                created_at=self._now(),
                attached=self._new_documents(chat, parent_id),
            )
        )
        if not chat.title:
            chat.title = text.strip().splitlines()[0][:60] if text.strip() else "New chat"
        reply = self._begin(chat, question.id)
        self._tokens[token] = (question.id, reply.id)
        return Sent(user_message=question, reply=reply)

    def _new_documents(
        self: FakeClient, chat: Conversation, parent_id: str | None
    ) -> tuple[AttachedDocument, ...]:
        documents, collections, _ = self.documents.chats.get(chat.id, ((), (), ""))
        before = set()
        while parent_id is not None:
            before |= {one.id for one in chat.messages[parent_id].attached}
            parent_id = chat.messages[parent_id].parent_id
        known, made = self.documents.known, self.documents.made
        found = [AttachedDocument(id=i, name=known[i].name, kind=known[i].kind) for i in documents]
        found += [AttachedDocument(id=i, name=made[i].name, kind="collection") for i in collections]
        return tuple(one for one in found if one.id not in before)

    def _begin(self: FakeClient, chat: Conversation, parent_id: str | None) -> Message:
        message = chat.add(
            Message(
                id=self.conversations.new_id("message"),
                chat_id=chat.id,
                parent_id=parent_id,
                role="assistant",
                content="",
                status="waiting",
                model_ref=chat.model_ref or self.stored_settings.default_model_ref,
                created_at=self._now(),
            )
        )
        chat.updated_at = self._now()
        self._tell(chat)
        script = self._replies.popleft() if self._replies else Reply()
        task = asyncio.ensure_future(self._answer(message, script))
        self._running[message.id] = (task, script)
        task.add_done_callback(lambda _: self._running.pop(message.id, None))
        return message

    async def _answer(self: FakeClient, message: Message, script: Reply) -> None:
        try:
            await self._ready(message)
            await self._stream(message, script)
        except asyncio.CancelledError:
            self._finish(message, "stopped", None, script)
            raise
        except AppError as error:
            self._finish(message, "failed", error, script)
        else:
            if script.error is not None:
                crashed = script.error.code in ("engine_crashed", "engine_stalled")
                self._finish(message, "interrupted" if crashed else "failed", script.error, script)
            else:
                self._finish(message, "complete", None, script)

    async def _ready(self: FakeClient, message: Message) -> None:
        """Load the model of a reply, as the server does on demand."""
        self._model(message.model_ref)
        engine = self.engines.get(message.model_ref)
        if engine is None or engine.phase != "ready":
            self._progress(message, "loading")
            await self.load_model(message.model_ref)
            load = self._loads.get(message.model_ref)
            if load is not None:
                await asyncio.shield(load)
        loaded = self.engines.get(message.model_ref)
        if loaded is None or loaded.phase != "ready":
            failure = loaded.error if loaded else None
            if failure is None:
                raise AppError("engine_crashed", "The model was unloaded.", "Load it again.")
            raise AppError.from_dict(msgspec.structs.asdict(failure))

    def _progress(self: FakeClient, message: Message, phase: str) -> None:
        self.push(
            ReplyProgress(
                chat_id=message.chat_id,
                message_id=message.id,
                phase=phase,  # type: ignore[arg-type]
                done=1,
                total=2,
            )
        )

    async def _stream(self: FakeClient, message: Message, script: Reply) -> None:
        self._progress(message, "prefill")
        await asyncio.sleep(script.pause_s)
        for part, deltas in (("reasoning", script.reasoning), ("content", script.deltas)):
            for text in deltas:
                stored = self.conversations.holding(message.id).messages[message.id]
                before = stored.reasoning if part == "reasoning" else stored.content
                self.conversations.update(
                    message.id, **{part: before + text, "status": "streaming"}
                )
                self.push(
                    ReplyDelta(
                        chat_id=message.chat_id,
                        message_id=message.id,
                        part=part,  # type: ignore[arg-type]
                        offset=len(before),
                        text=text,
                        tokens_per_s=42.0,
                    )
                )
                await asyncio.sleep(script.pause_s)
        if script.hold:
            await script.released.wait()

    def _finish(
        self: FakeClient, message: Message, status: str, error: AppError | None, script: Reply
    ) -> None:
        chat = self.conversations.holding(message.id)
        if chat.messages[message.id].status not in BUSY:
            return
        stats = script.stats or ReplyStats(
            prompt_tokens=24,
            completion_tokens=max(1, len(script.deltas)),
            decode_tokens_per_s=42.0,
            first_token_s=0.21,
            duration_s=1.4,
            finish_reason="stop" if status == "complete" else status,
        )
        done = self.conversations.update(
            message.id,
            status=status,
            stats=stats,
            error=error_info(error) if error is not None else None,
            grounds=script.grounds,
        )
        self.push(ReplyFinished(chat_id=chat.id, message=done))
        self._tell(chat)
