"""An honest, scriptable `Client` without a server: what a test says happens, and is recorded.

    client = FakeClient(models=(kimi,))
    client.script_reply(["Hel", "lo"], reasoning=["Greet."])
    client.fail_next("load_model", AppError("does_not_fit", "…", "…"))
    client.go_offline()          # calls and event streams fail as if the server died
    client.push(Notice(...))     # any event, numbered and kept as the server does

Replies and loads run as tasks of the running loop; `close()` ends them.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import msgspec

from doubles.client_library import FakeLibraryCalls, FakeShelf
from doubles.conversation_tree import BUSY, Conversation, Conversations
from doubles.costs import FakeCosts
from doubles.documents import FakeDocuments
from doubles.files import FakeFiles
from doubles.machine import FakeMachine
from freehold.errors import AppError
from freehold.wire import (
    API_VERSION,
    AnyEvent,
    Changed,
    Chat,
    ChatSummary,
    EngineChanged,
    EngineState,
    Envelope,
    ErrorInfo,
    Hello,
    LoadRequest,
    Message,
    ModelEntry,
    ReplyDelta,
    ReplyFinished,
    ReplyProgress,
    ReplyStats,
    Resync,
    SearchHit,
    Sent,
    ServerInfo,
    Settings,
    State,
)
from freehold.wire_grounds import AttachedDocument, Grounds


@dataclass(frozen=True)
class Call:
    """One call a test can look at."""

    method: str
    arguments: dict[str, object]


@dataclass
class Reply:
    """What the model double says next."""

    deltas: Sequence[str] = ("A short answer.",)
    reasoning: Sequence[str] = ()
    error: AppError | None = None
    hold: bool = False
    pause_s: float = 0.0
    stats: ReplyStats | None = None
    grounds: Grounds | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)


def error_info(error: AppError) -> ErrorInfo:
    """Return an error as the wire carries it."""
    return msgspec.convert(error.to_dict(), ErrorInfo)


class FakeClient(FakeLibraryCalls):
    """A server in memory."""

    def __init__(
        self,
        *,
        models: Sequence[ModelEntry] = (),
        engines: Sequence[EngineState] = (),
        settings: Settings | None = None,
        base_url: str = "http://127.0.0.1:11711",
        ring: int = 4096,
    ) -> None:
        self.calls: list[Call] = []
        self.models = {model.ref: model for model in models}
        self.engines = {engine.ref: engine for engine in engines}
        self.conversations = Conversations()
        self.stored_settings = settings or Settings()
        self.instance_id = "instance-1"
        self.load_steps: tuple[float, ...] = (0.25, 0.5, 0.75)
        self.hold_loads = False
        self.importable: dict[str, ModelEntry | AppError] = {}
        self.closed = False
        self.server_ended = False
        self._base_url = base_url
        self._clock = itertools.count(1_760_000_000)
        self._seq = 0
        self._log: deque[Envelope] = deque(maxlen=ring)
        self.shelf = FakeShelf(self.push, self.models)
        self._wake = asyncio.Event()
        self._online = True
        self._line = 0
        self._failures: dict[str, deque[AppError]] = defaultdict(deque)
        self._load_failures: dict[str, AppError] = {}
        self._replies: deque[Reply] = deque()
        self._running: dict[str, tuple[asyncio.Task[None], Reply]] = {}
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._loads_released = asyncio.Event()
        self._tokens: dict[str, tuple[str, str]] = {}
        self.costs = FakeCosts(
            self._enter, self.push, lambda name, error: self._failures[name].append(error)
        )
        self.machine = FakeMachine(
            self._enter, lambda name, error: self._failures[name].append(error)
        )
        self.files = FakeFiles(
            self._enter,
            lambda name, error: self._failures[name].append(error),
            self.models,
            self.push,
        )
        self.documents = FakeDocuments(
            self._enter,
            lambda name, error: self._failures[name].append(error),
            self.push,
            self.conversations,
        )

    # --- what a test arranges ------------------------------------------------------------

    def script_reply(
        self,
        deltas: Sequence[str],
        *,
        reasoning: Sequence[str] = (),
        error: AppError | None = None,
        hold: bool = False,
        pause_s: float = 0.0,
        stats: ReplyStats | None = None,
        grounds: Grounds | None = None,
    ) -> Reply:
        """Say what the next reply is; `hold` keeps it open until `released.set()` or a stop."""
        reply = Reply(deltas, reasoning, error, hold, pause_s, stats, grounds)
        self._replies.append(reply)
        return reply

    def fail_next(self, method: str, error: AppError) -> None:
        """Make the next call of `method` raise `error`."""
        if not callable(getattr(self, method, None)):
            raise AttributeError(f"Client has no method {method!r}")
        self._failures[method].append(error)

    def fail_load(self, ref: str, error: AppError) -> None:
        """Make the next load of `ref` end as failed with `error`."""
        self._load_failures[ref] = error

    def release_loads(self) -> None:
        """Let loads held by `hold_loads` finish."""
        self.hold_loads = False
        self._loads_released.set()

    def push(self, event: AnyEvent) -> Envelope:
        """Number an event and tell it to every reader."""
        self._seq += 1
        envelope = Envelope(seq=self._seq, event=event)
        self._log.append(envelope)
        self._stir()
        return envelope

    def skip_seq(self, count: int = 1) -> None:
        """Lose `count` events: the next one leaves a gap."""
        self._seq += count

    def drop_line(self) -> None:
        """Break every event stream once; the server goes on."""
        self._line += 1
        self._stir()

    def go_offline(self) -> None:
        """Be unreachable until `go_online`."""
        self._online = False
        self.drop_line()

    def go_online(self, *, restarted: bool = False) -> None:
        """Be reachable again; `restarted` starts a new instance with an empty event log."""
        self._online = True
        if restarted:
            self.instance_id = f"instance-{int(self.instance_id.rpartition('-')[2]) + 1}"
            self.engines.clear()
            self._log.clear()
            self._seq = 0

    def called(self, method: str) -> list[dict[str, object]]:
        """Return the arguments of every call of `method`."""
        return [call.arguments for call in self.calls if call.method == method]

    # --- Client: server ------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        return self._base_url

    async def hello(self) -> Hello:
        await self._enter("hello")
        return Hello(api=API_VERSION, version="0.1.0", instance_id=self.instance_id, pid=4242)

    async def state(self) -> State:
        await self._enter("state")
        return State(
            seq=self._seq,
            server=ServerInfo(
                version="0.1.0",
                instance_id=self.instance_id,
                pid=4242,
                started_at=1_760_000_000.0,
                host="127.0.0.1",
                port=int(self._base_url.rpartition(":")[2]),
                base_url=self._base_url,
                data_folder="/home/ada/.local/share/freehold",
                data_bytes_free=812_000_000_000,
                hostname="workstation",
                backend="CPU",
                api_enabled=self.stored_settings.api_enabled,
            ),
            models=tuple(self.models.values()),
            engines=tuple(self.engines.values()),
            settings=self.stored_settings,
        )

    async def events(self, after: int) -> AsyncIterator[Envelope]:
        await self._enter("events", after=after)
        line, seen = self._line, after
        if after > self._seq or (self._log and after < self._log[0].seq - 1):
            yield Envelope(seq=self._seq, event=Resync())
            return
        while True:
            if line != self._line:
                raise _unreachable()
            ready = [envelope for envelope in self._log if envelope.seq > seen]
            if not ready:
                await self._wake.wait()
                continue
            for envelope in ready:
                seen = envelope.seq
                yield envelope

    async def settings(self) -> Settings:
        await self._enter("settings")
        return self.stored_settings

    async def save_settings(self, settings: Settings) -> Settings:
        await self._enter("save_settings", settings=settings)
        if not 1024 <= settings.port <= 65535:
            raise AppError(
                "invalid_request",
                f"Port {settings.port} cannot be used.",
                "Choose a port between 1024 and 65535.",
            )
        self.stored_settings = settings
        self.push(Changed(topic="settings"))
        return settings

    async def api_key(self) -> str:
        await self._enter("api_key")
        return "fh-0123456789abcdef0123456789abcdef"

    async def shut_down(self) -> None:
        await self._enter("shut_down")
        self.server_ended = True
        await self._end_tasks()
        self.go_offline()

    async def close(self) -> None:
        self.calls.append(Call("close", {}))
        self.closed = True
        await self._end_tasks()
        self.drop_line()

    # --- Client: models ------------------------------------------------------------------

    async def import_model(self, path: str) -> ModelEntry:
        await self._enter("import_model", path=path)
        found = self.importable.get(path)
        if isinstance(found, AppError):
            raise found
        name = PurePosixPath(path).name
        if found is None and not name.endswith(".gguf"):
            raise AppError(
                "invalid_model",
                f"{name} is not a GGUF file.",
                "Choose a model file whose name ends in .gguf.",
                detail={"path": path},
            )
        entry = found or ModelEntry(
            ref=name.removesuffix(".gguf"),
            name=name.removesuffix(".gguf"),
            arch="llama",
            bytes=4_680_000_000,
            path=path,
            origin="imported",
            ready=True,
            quant="Q4_K_M",
            context_tokens=131_072,
        )
        self.models[entry.ref] = entry
        self.push(Changed(topic="models", id=entry.ref))
        return entry

    async def remove_model(self, ref: str, *, delete_files: bool = False) -> int:
        await self._enter("remove_model", ref=ref, delete_files=delete_files)
        entry = self._model(ref)
        self._end_engine(ref)
        del self.models[ref]
        self.push(Changed(topic="models", id=ref))
        return entry.bytes if delete_files else 0

    async def load_model(self, ref: str, request: LoadRequest | None = None) -> None:
        await self._enter("load_model", ref=ref, request=request)
        entry = self._model(ref)
        if entry.problem is not None:
            raise AppError.from_dict(msgspec.structs.asdict(entry.problem))
        engine = self.engines.get(ref)
        if engine is None or engine.phase == "failed":
            self._set_engine(EngineState(ref=ref, phase="loading"))
            self._loads[ref] = asyncio.ensure_future(self._load(entry, request))

    async def unload_model(self, ref: str) -> None:
        await self._enter("unload_model", ref=ref)
        self._model(ref)
        self._end_engine(ref)

    # --- Client: chats -------------------------------------------------------------------

    async def chats(self, *, trashed: bool = False) -> tuple[ChatSummary, ...]:
        await self._enter("chats", trashed=trashed)
        return self.conversations.summaries(trashed=trashed)

    async def create_chat(self, *, model_ref: str = "", title: str = "") -> Chat:
        await self._enter("create_chat", model_ref=model_ref, title=title)
        chat = self.conversations.create(title=title, model_ref=model_ref, now=self._now())
        self._tell(chat)
        return chat.view()

    async def chat(
        self, chat_id: str, *, limit: int | None = None, before: str | None = None
    ) -> Chat:
        await self._enter("chat", chat_id=chat_id, limit=limit, before=before)
        return self.conversations.chat(chat_id).view(limit, before)

    async def update_chat(
        self,
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

    async def save_draft(self, chat_id: str, text: str) -> None:
        await self._enter("save_draft", chat_id=chat_id, text=text)
        self.conversations.chat(chat_id).draft = text

    async def trash_chat(self, chat_id: str) -> None:
        await self._enter("trash_chat", chat_id=chat_id)
        chat = self.conversations.chat(chat_id)
        chat.trashed_at = self._now()
        self._tell(chat)
        for message_id in list(chat.messages):
            if message_id in self._running:
                await self.stop_reply(message_id)

    async def restore_chat(self, chat_id: str) -> None:
        await self._enter("restore_chat", chat_id=chat_id)
        chat = self.conversations.chat(chat_id)
        chat.trashed_at = None
        self._tell(chat)

    async def delete_chat(self, chat_id: str) -> None:
        await self._enter("delete_chat", chat_id=chat_id)
        chat = self.conversations.chat(chat_id)
        if chat.trashed_at is None:
            raise AppError(
                "conflict", "That chat is not in the trash.", "Move it to the trash first."
            )
        self.conversations.delete(chat_id)
        self._tell(chat)

    async def export_chat(self, chat_id: str, form: str = "markdown") -> str:
        await self._enter("export_chat", chat_id=chat_id, form=form)
        chat = self.conversations.chat(chat_id)
        if form == "json":
            return msgspec.json.encode(chat.view()).decode()
        return "\n\n".join([f"# {chat.title}", *(m.content for m in chat.branch())])

    async def search_chats(self, query: str, *, limit: int = 50) -> tuple[SearchHit, ...]:
        await self._enter("search_chats", query=query, limit=limit)
        return self.conversations.search(query, limit)

    async def send(self, chat_id: str, text: str, *, parent_id: str | None, token: str) -> Sent:
        await self._enter("send", chat_id=chat_id, text=text, parent_id=parent_id, token=token)
        chat = self.conversations.chat(chat_id)
        if token in self._tokens:
            return self._sent_before(token)
        if parent_id is not None and parent_id not in chat.messages:
            raise AppError("not_found", "That message is not in this chat.", "Reload the chat.")
        chat.draft = ""
        return self._ask(chat, parent_id, text, token)

    async def regenerate(self, message_id: str) -> Sent:
        await self._enter("regenerate", message_id=message_id)
        chat = self.conversations.holding(message_id)
        old = chat.messages[message_id]
        if old.role != "assistant":
            raise AppError(
                "invalid_request", "Only an answer can be written again.", "Choose an answer."
            )
        return Sent(user_message=None, reply=self._begin(chat, old.parent_id))

    async def edit(self, message_id: str, text: str, *, token: str) -> Sent:
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

    async def select(self, message_id: str) -> Chat:
        await self._enter("select", message_id=message_id)
        chat = self.conversations.holding(message_id)
        chat.choose(message_id)
        self.push(Changed(topic="chat", id=chat.id))
        return chat.view()

    async def message(self, message_id: str) -> Message:
        await self._enter("message", message_id=message_id)
        return self.conversations.holding(message_id).messages[message_id]

    async def stop_reply(self, message_id: str) -> None:
        await self._enter("stop_reply", message_id=message_id)
        self.conversations.holding(message_id)
        running = self._running.get(message_id)
        if running is not None:
            running[0].cancel()
            await asyncio.gather(running[0], return_exceptions=True)

    # --- inside --------------------------------------------------------------------------

    async def _enter(self, method: str, **arguments: object) -> None:
        self.calls.append(Call(method, arguments))
        await asyncio.sleep(0)
        if not self._online:
            raise _unreachable()
        if self._failures[method]:
            raise self._failures[method].popleft()

    def _now(self) -> float:
        return float(next(self._clock))

    def _stir(self) -> None:
        self._wake.set()
        self._wake = asyncio.Event()

    def _tell(self, chat: Conversation) -> None:
        self.push(Changed(topic="chats", id=chat.id))
        self.push(Changed(topic="chat", id=chat.id))

    def _model(self, ref: str) -> ModelEntry:
        if ref not in self.models:
            raise AppError(
                "model_not_found",
                f"No model is called {ref or 'that'}.",
                "Choose one of the models on this machine, or import its GGUF file.",
                detail={"ref": ref},
            )
        return self.models[ref]

    def _set_engine(self, engine: EngineState) -> None:
        self.engines[engine.ref] = engine
        self.push(EngineChanged(ref=engine.ref, engine=engine))

    def _end_engine(self, ref: str) -> None:
        load = self._loads.pop(ref, None)
        if load is not None:
            load.cancel()
        engine = self.engines.pop(ref, None)
        if engine is not None:
            self.push(
                EngineChanged(ref=ref, engine=msgspec.structs.replace(engine, phase="unloading"))
            )
            self.push(EngineChanged(ref=ref, engine=None))

    async def _load(self, entry: ModelEntry, request: LoadRequest | None) -> None:
        for fraction in self.load_steps:
            await asyncio.sleep(0)
            self._set_engine(EngineState(ref=entry.ref, phase="loading", fraction=fraction))
        if self.hold_loads:
            await self._loads_released.wait()
        error = self._load_failures.pop(entry.ref, None)
        if error is not None:
            self._set_engine(EngineState(ref=entry.ref, phase="failed", error=error_info(error)))
            return
        wanted = request.context_tokens if request else None
        self._set_engine(
            EngineState(
                ref=entry.ref,
                phase="ready",
                fraction=1.0,
                pid=4300,
                backend="CPU",
                devices=("CPU",),
                context_tokens=wanted or 8192,
                trained_context_tokens=entry.context_tokens,
                parallel=4,
                resident_bytes=entry.bytes,
                supports_tools=True,
                supports_thinking=True,
            )
        )

    def _sent_before(self, token: str) -> Sent:
        user_id, reply_id = self._tokens[token]
        messages = self.conversations.holding(reply_id).messages
        return Sent(user_message=messages[user_id], reply=messages[reply_id])

    def _ask(self, chat: Conversation, parent_id: str | None, text: str, token: str) -> Sent:
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
        self, chat: Conversation, parent_id: str | None
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

    def _begin(self, chat: Conversation, parent_id: str | None) -> Message:
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

    async def _answer(self, message: Message, script: Reply) -> None:
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

    async def _ready(self, message: Message) -> None:
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

    def _progress(self, message: Message, phase: str) -> None:
        self.push(
            ReplyProgress(
                chat_id=message.chat_id,
                message_id=message.id,
                phase=phase,  # type: ignore[arg-type]
                done=1,
                total=2,
            )
        )

    async def _stream(self, message: Message, script: Reply) -> None:
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

    def _finish(self, message: Message, status: str, error: AppError | None, script: Reply) -> None:
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

    async def _end_tasks(self) -> None:
        tasks = [task for task, _ in self._running.values()] + list(self._loads.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _unreachable() -> AppError:
    return AppError(
        "server_unreachable",
        "The Freehold server does not answer.",
        "It is started again by itself; if it stays away, run `freehold doctor`.",
        retryable=True,
    )
