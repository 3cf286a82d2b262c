"""Values of Freehold's own API (`/freehold/v1`), shared by the server and its clients.

A client reads `State` once and then follows `Envelope`s of `/freehold/v1/events?after=seq`.
A gap in `seq`, or `Resync`, means: read the state again. Paths are paths of the server's machine.
Times are Unix seconds (UTC).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from freehold.wire_grounds import AttachedDocument, Grounds

API_VERSION = 1


class Value(msgspec.Struct, frozen=True):
    """A frozen value of the API."""


class ErrorInfo(Value, frozen=True, kw_only=True):
    """`AppError` as data."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False
    detail: dict[str, Any] = {}


class Hello(Value, frozen=True, kw_only=True):
    """Who answers `GET /freehold/v1/hello`; `proof` answers the client's challenge with the key."""

    api: int
    version: str
    instance_id: str
    pid: int
    proof: str = ""


# --- models ----------------------------------------------------------------------------------


class ModelEntry(Value, frozen=True, kw_only=True):
    """A model the library knows.

    ref: the name it is asked for by; origin: "imported", "downloaded", "bundled" or the name of
    the program whose folder it lies in. `problem` says why it is not ready.
    """

    ref: str
    name: str
    arch: str
    bytes: int
    path: str
    origin: str
    ready: bool
    quant: str = ""
    parameters: int = 0
    active_parameters: int = 0
    bits_per_weight: float = 0.0
    context_tokens: int = 0
    experts: int = 0
    experts_used: int = 0
    shards: int = 1
    kind: Literal["chat", "embedding"] = "chat"
    added_at: float = 0.0
    problem: ErrorInfo | None = None


class EngineState(Value, frozen=True, kw_only=True):
    """A model that is loaded, loading or lost; `fraction` is the load progress."""

    ref: str
    phase: Literal["loading", "ready", "failed", "unloading"]
    fraction: float = 0.0
    pid: int | None = None
    backend: str = ""
    devices: tuple[str, ...] = ()
    context_tokens: int = 0
    trained_context_tokens: int = 0
    parallel: int = 0
    running: int = 0
    waiting: int = 0
    cells_used: int = 0
    decode_tokens_per_s: float = 0.0
    resident_bytes: int = 0
    supports_tools: bool = False
    supports_thinking: bool = False
    unload_at: float | None = None
    error: ErrorInfo | None = None


class LoadRequest(Value, frozen=True, kw_only=True):
    """How to load a model; None keeps what was used last, or the default.

    repack: copy weights in RAM into the form the CPU is fastest with; False leaves them mapped.
    reserve_bytes: kept free on each GPU, in the order of `devices`, or one size for all.
    gpu_layers: -1 takes a pinned number back; then the planner chooses.
    force: load although it does not fit; not remembered. expert_kernels: Freehold's own on a GPU.
    """

    context_tokens: int | None = None
    parallel: int | None = None
    devices: tuple[str, ...] | None = None
    gpu_layers: int | None = None
    split_mode: Literal["none", "layer", "row"] | None = None
    main_gpu: int | None = None
    tensor_split: tuple[float, ...] | None = None
    cpu_expert_layers: int | None = None
    overrides: tuple[tuple[str, str], ...] | None = None
    kv_type_k: str | None = None
    kv_type_v: str | None = None
    flash_attention: Literal["auto", "on", "off"] | None = None
    threads: int | None = None
    batch_tokens: int | None = None
    micro_batch_tokens: int | None = None
    memory: Literal["mmap", "mlock", "read"] | None = None
    repack: bool | None = None
    reserve_bytes: tuple[int, ...] | None = None
    force: bool | None = None
    expert_kernels: bool | None = None


# --- downloads -------------------------------------------------------------------------------


class Download(Value, frozen=True, kw_only=True):
    """A variant of a repository on its way to this machine.

    file: the one that is fetched or checked now; eta_s: None while there is no speed; note: what
    is being tried again; verified_bytes: what has been compared with the hub's checksums.
    ref: the model it became.
    """

    id: str
    repository: str
    variant: str
    state: Literal["queued", "running", "verifying", "paused", "failed", "done"]
    total_bytes: int
    done_bytes: int = 0
    verified_bytes: int = 0
    files: int = 1
    files_done: int = 0
    file: str = ""
    bytes_per_s: float = 0.0
    eta_s: float | None = None
    note: str = ""
    error: ErrorInfo | None = None
    ref: str = ""
    folder: str = ""
    added_at: float = 0.0


# --- chats -----------------------------------------------------------------------------------


class ReplyStats(Value, frozen=True, kw_only=True):
    """Figures below an answer, all measured by the engine."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    decode_tokens_per_s: float = 0.0
    prefill_tokens_per_s: float = 0.0
    first_token_s: float = 0.0
    duration_s: float = 0.0
    finish_reason: str = ""
    energy_joules: float | None = None
    energy_level: str = ""
    energy_money: str = ""
    energy_currency: str = ""


class Message(Value, frozen=True, kw_only=True):
    """One message of a conversation tree.

    status: "complete"; "waiting" (queued or the model loads), "streaming", "stopped" by the
    person, "failed" (see `error`), "interrupted" (the engine or server died; what came is kept).
    attached: the documents that came with a question. grounds: what an answer rests on.
    """

    id: str
    chat_id: str
    parent_id: str | None
    role: Literal["system", "user", "assistant", "tool"]
    content: str
    reasoning: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    status: Literal["complete", "waiting", "streaming", "stopped", "failed", "interrupted"] = (
        "complete"
    )
    model_ref: str = ""
    created_at: float = 0.0
    stats: ReplyStats | None = None
    error: ErrorInfo | None = None
    grounds: Grounds | None = None
    attached: tuple[AttachedDocument, ...] = ()


class ChatSummary(Value, frozen=True, kw_only=True):
    """A row of the chat list."""

    id: str
    title: str
    updated_at: float
    model_ref: str = ""
    pinned: bool = False
    busy: bool = False
    trashed_at: float | None = None


class Chat(Value, frozen=True, kw_only=True):
    """A conversation: its active branch, root first, and the siblings at each step.

    messages: the active branch, or its last `limit` messages; `total` is the branch's length.
    siblings: for each message id that has alternatives, all ids in order of creation.
    """

    id: str
    title: str
    created_at: float
    updated_at: float
    model_ref: str
    system_prompt: str
    draft: str
    messages: tuple[Message, ...]
    total: int
    siblings: dict[str, tuple[str, ...]]
    sampling: dict[str, Any] = {}
    context_used_tokens: int = 0
    trashed_at: float | None = None


class SearchHit(Value, frozen=True, kw_only=True):
    """A message that matches a search over all chats."""

    chat_id: str
    message_id: str
    title: str
    snippet: str
    created_at: float


class Sent(Value, frozen=True, kw_only=True):
    """What sending created: both rows are on disk when this is answered."""

    user_message: Message | None
    reply: Message


# --- server ----------------------------------------------------------------------------------


class ServerInfo(Value, frozen=True, kw_only=True):
    """The background server as the window shows it; `data_bytes_free`: where chats are stored."""

    version: str
    instance_id: str
    pid: int
    started_at: float
    host: str
    port: int
    base_url: str
    data_folder: str
    data_bytes_free: int
    hostname: str
    backend: str
    requests: int = 0
    clients: int = 0
    api_enabled: bool = True


class Settings(Value, frozen=True, kw_only=True):
    """What a person may change; stored in settings.toml by the server."""

    theme: Literal["system", "light", "dark"] = "system"
    language: str = "system"
    port: int = 11711
    idle_unload_minutes: int = 30
    keep_running_when_closed: bool = True
    start_at_login: bool = False
    default_model_ref: str = ""
    default_system_prompt: str = ""
    api_enabled: bool = True
    price_per_kwh: str = ""
    currency: str = "USD"
    model_folders: tuple[str, ...] = ()
    download_limit_mb_per_s: int = 0


class State(Value, frozen=True, kw_only=True):
    """Everything a window needs to start; `seq` is where the event stream goes on."""

    seq: int
    server: ServerInfo
    models: tuple[ModelEntry, ...]
    engines: tuple[EngineState, ...]
    settings: Settings


# --- events ----------------------------------------------------------------------------------


class Event(msgspec.Struct, frozen=True, tag_field="type"):
    """Something that happened on the server."""


class Changed(Event, tag="changed", frozen=True, kw_only=True):
    """Something stored changed: re-read it if shown ("chats", "chat", "models", "settings",
    "downloads" when their order changed, "documents", "document", "collections", "collection",
    "chat_documents" with a chat's id); told at most four times a second for one id."""

    topic: str
    id: str = ""


class EngineChanged(Event, tag="engine", frozen=True, kw_only=True):
    """A model's engine changed; `engine` is None when it is gone."""

    ref: str
    engine: EngineState | None = None


class ReplyDelta(Event, tag="reply_delta", frozen=True, kw_only=True):
    """New text of a reply, stored before it is told.

    offset: characters of that part before this text; another length on the reader's side means
    it missed something and reads the message again.
    """

    chat_id: str
    message_id: str
    part: Literal["content", "reasoning"]
    offset: int
    text: str
    tokens_per_s: float = 0.0


class ReplyProgress(Event, tag="reply_progress", frozen=True, kw_only=True):
    """A reply that has no text yet: waiting in a queue, loading its model, or in prefill.

    With documents also: "embedding" their passages for the search, or "reading" every one.
    done, total: tokens of the prompt, percent of the load, passages, or the requests that would
    start before it and all that wait; 0 of 0 where the place is not known yet.
    """

    chat_id: str
    message_id: str
    phase: Literal["queued", "loading", "prefill", "embedding", "reading"]
    done: int = 0
    total: int = 0


class ReplyFinished(Event, tag="reply_finished", frozen=True, kw_only=True):
    """A reply reached its final state."""

    chat_id: str
    message: Message


class Notice(Event, tag="notice", frozen=True, kw_only=True):
    """Something a person should know; shown as a banner."""

    level: Literal["info", "warning", "error"]
    error: ErrorInfo


class DownloadChanged(Event, tag="download", frozen=True, kw_only=True):
    """A download came on (told at most four times a second); None when it is no longer listed."""

    id: str
    download: Download | None = None


class Resync(Event, tag="resync", frozen=True, kw_only=True):
    """The reader was too slow or came too late: read the state again."""


AnyEvent = (
    Changed
    | EngineChanged
    | ReplyDelta
    | ReplyProgress
    | ReplyFinished
    | DownloadChanged
    | Notice
    | Resync
)


class Envelope(Value, frozen=True, kw_only=True):
    """An event and its place in the stream."""

    seq: int
    event: AnyEvent
