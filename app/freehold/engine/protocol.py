"""Messages between the server and an engine worker.

A worker holds one model. Messages travel as length-prefixed MessagePack over a pair of pipes;
`PROTOCOL_VERSION` is exchanged in `Hello` and a mismatch ends the worker.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from freehold.engine.requests import (
    ChatPrompt,
    GenerateRequest,
    LoadOptions,
    ModelInfo,
    Timings,
    TokenLogprob,
    ToolCallDelta,
    Usage,
    WireError,
)

PROTOCOL_VERSION = 1

# --- worker → server -------------------------------------------------------------------------


class Event(msgspec.Struct, frozen=True, tag_field="type", tag=str.lower):
    """Something a worker says."""


class Hello(Event, frozen=True, kw_only=True):
    """First message of a worker."""

    protocol: int
    pid: int


class LoadProgress(Event, frozen=True, kw_only=True):
    """Share of the weights read so far, 0…1."""

    fraction: float


class Loaded(Event, frozen=True, kw_only=True):
    """The model is ready."""

    info: ModelInfo


class LoadFailed(Event, frozen=True, kw_only=True):
    """The model could not be loaded; the worker ends."""

    error: WireError


class PrefillProgress(Event, frozen=True, kw_only=True):
    """Prompt tokens computed so far, told at most four times a second and when prefill starts."""

    id: str
    done: int
    total: int


class Queued(Event, frozen=True, kw_only=True):
    """A request waits for a slot: how many of all that wait would start before it."""

    id: str
    ahead: int
    waiting: int


class Delta(Event, frozen=True, kw_only=True):
    """New output of a request: whole UTF-8 characters, cleared of stop strings."""

    id: str
    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    tokens: int = 0


class Done(Event, frozen=True, kw_only=True):
    """The request ended; its slot is free."""

    id: str
    finish_reason: Literal["stop", "length", "tool_calls", "cancelled"]
    usage: Usage
    timings: Timings
    stop_text: str | None = None


class Failed(Event, frozen=True, kw_only=True):
    """The request ended with an error; its slot is free."""

    id: str
    error: WireError
    usage: Usage = Usage()


class Embedded(Event, frozen=True, kw_only=True):
    """Vectors of an embed request, one per input, and the tokens read."""

    id: str
    vectors: tuple[bytes, ...]  # float32 little-endian, normalised
    prompt_tokens: int


class Tokenized(Event, frozen=True, kw_only=True):
    """Tokens of a text, or the text of tokens, or a rendered prompt."""

    id: str
    tokens: tuple[int, ...] = ()
    text: str = ""


class EngineStats(Event, frozen=True, kw_only=True):
    """The worker's state, told once a second while something runs and on request.

    cells_used counts KV cells held by running requests and by kept prefixes together.
    """

    running: int
    waiting: int
    cells_used: int
    cells_total: int
    decode_tokens_per_s: float
    prefill_tokens_per_s: float
    tokens_generated: int
    prompt_tokens: int
    cached_prompt_tokens: int
    steps: int
    resident_bytes: int


class Steps(Event, frozen=True, kw_only=True):
    """Which work was done when, for sharing out energy; CLOCK_MONOTONIC seconds.

    steps: (start, end, ((request id, prefill tokens, decode tokens, context tokens read), …)).
    Everything up to `until_s` has been told; sent once a second and before a request's `Done`.
    """

    until_s: float
    steps: tuple[tuple[float, float, tuple[tuple[str, int, int, int], ...]], ...]


WorkerMessage = (
    Hello
    | LoadProgress
    | Loaded
    | LoadFailed
    | Queued
    | PrefillProgress
    | Delta
    | Done
    | Failed
    | Embedded
    | Tokenized
    | EngineStats
    | Steps
)
GenerateEvent = Queued | PrefillProgress | Delta | Done | Failed


# --- server → worker -------------------------------------------------------------------------


class Command(msgspec.Struct, frozen=True, tag_field="type", tag=str.lower):
    """Something a server asks."""


class Load(Command, frozen=True, kw_only=True):
    options: LoadOptions


class Generate(Command, frozen=True, kw_only=True):
    request: GenerateRequest


class Embed(Command, frozen=True, kw_only=True):
    id: str
    inputs: tuple[str | tuple[int, ...], ...]


class Tokenize(Command, frozen=True, kw_only=True):
    """Tokenise `text`, or render `chat` and tokenise the result, or detokenise `tokens`."""

    id: str
    text: str | None = None
    chat: ChatPrompt | None = None
    tokens: tuple[int, ...] | None = None
    add_special: bool = True


class Cancel(Command, frozen=True, kw_only=True):
    id: str


class GetStats(Command, frozen=True, kw_only=True):
    pass


class Shutdown(Command, frozen=True, kw_only=True):
    pass


ServerMessage = Load | Generate | Embed | Tokenize | Cancel | GetStats | Shutdown
