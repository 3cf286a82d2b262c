"""One sampling step for many sequences in a single native call, and what belongs to it.

All pointers (`model`, `context`, `chain`) are llama.cpp addresses as integers, as the low-level
API of llama-cpp-python gives them. Nothing here is thread-safe: the decode thread owns it.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

from freehold.engine.chat_values import GrammarConstraint
from freehold.engine.native import chat_library, raise_native, take_text
from freehold.engine.requests import TokenLogprob

FLAG_END = 1
FLAG_DEAD_END = 2
PIECE_BYTES = 4096  # room per token; the longest token of a vocabulary is some hundred bytes


class Sampled(NamedTuple):
    """One sequence's next token.

    piece: its bytes, special tokens included as text; b"" when `ended`.
    ended: the token ends generation (end of sequence, end of turn).
    dead_end: the grammar allows no token of the vocabulary here; treat as ended.
    """

    token: int
    piece: bytes
    ended: bool
    dead_end: bool


class TokenSampler:
    """A llama.cpp sampler chain plus an optional grammar, owned together.

    The chain (penalties … dist) is built by the caller with `llama_sampler_chain_init` and given
    away: this object frees it, also when the constructor fails. The grammar is tested against the
    sampled token first and applied to the whole vocabulary only if that token is refused.
    """

    def __init__(self, model: int, chain: int, constraint: GrammarConstraint | None = None) -> None:
        """Wrap `chain` for `model`.

        Raises: AppError `invalid_grammar`.
        """
        self._library = chat_library()
        handle, error = ctypes.c_void_p(), ctypes.c_void_p()
        text = b"" if constraint is None else constraint.to_json()
        if self._library.fh_sampler_new(
            model, chain, text, ctypes.byref(handle), ctypes.byref(error)
        ):
            raise_native(take_text(self._library, error))
        self._handle: int | None = handle.value

    @property
    def handle(self) -> int:
        """Return the native address, for `SampleStep`."""
        if self._handle is None:
            raise ValueError("the sampler is closed")
        return self._handle

    def accept(self, token: int) -> None:
        """Tell the chain about a token that was not sampled here: a prompt token, for penalties."""
        error = ctypes.c_void_p()
        if self._library.fh_sampler_accept(self.handle, token, ctypes.byref(error)):
            raise_native(take_text(self._library, error))

    def close(self) -> None:
        """Free the chain and the grammar; may be called twice."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._library.fh_sampler_free(handle)

    def __enter__(self) -> TokenSampler:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class SampleStep:
    """Samples all sequences of a decode step of one context, with buffers kept between calls."""

    def __init__(self, context: int, capacity: int) -> None:
        """Make buffers for at most `capacity` sequences of the llama.cpp `context`."""
        self._library = chat_library()
        self._context = context
        self._capacity = capacity
        self._samplers = (ctypes.c_void_p * capacity)()
        self._indices = (ctypes.c_int32 * capacity)()
        self._tokens = (ctypes.c_int32 * capacity)()
        self._flags = (ctypes.c_int32 * capacity)()
        self._ends = (ctypes.c_int32 * capacity)()
        self._piece_room = PIECE_BYTES * capacity
        self._pieces = ctypes.create_string_buffer(self._piece_room)

    def run(self, samplers: Sequence[TokenSampler], logit_indices: Sequence[int]) -> list[Sampled]:
        """Sample one token per sequence and tell its sampler; same order as given.

        logit_indices: positions in the last `llama_decode` batch (as llama_get_logits_ith).
        Raises: AppError `internal` if llama.cpp has no logits there.
        """
        count = len(samplers)
        if count != len(logit_indices) or count > self._capacity:
            raise ValueError("as many logit indices as samplers, and at most `capacity`")
        self._samplers[:count] = [sampler.handle for sampler in samplers]
        self._indices[:count] = list(logit_indices)
        error = ctypes.c_void_p()
        if self._library.fh_sample_step(
            self._context,
            count,
            self._samplers,
            self._indices,
            self._tokens,
            self._flags,
            self._ends,
            self._pieces,
            self._piece_room,
            ctypes.byref(error),
        ):
            raise_native(take_text(self._library, error))
        ends = self._ends[:count]
        text = ctypes.string_at(self._pieces, ends[-1]) if count else b""
        result = []
        start = 0
        for token, flags, end in zip(self._tokens[:count], self._flags[:count], ends, strict=True):
            ended = flags != 0
            result.append(Sampled(token, text[start:end], ended, flags & FLAG_DEAD_END != 0))
            start = end
        return result


class LogprobReader:
    """Reads log probabilities of the full softmax (before any sampler) for sampled tokens."""

    def __init__(self, model: int, context: int) -> None:
        self._library = chat_library()
        self._model = model
        self._context = context

    def read(
        self, logit_indices: Sequence[int], tokens: Sequence[int], top: int
    ) -> list[TokenLogprob]:
        """Return each token's natural-log probability and the `top` likeliest alternatives.

        Call it after the step that sampled `tokens` and before the next llama_decode.
        """
        count = len(tokens)
        indices = (ctypes.c_int32 * count)(*logit_indices)
        chosen = (ctypes.c_int32 * count)(*tokens)
        chosen_logprobs = (ctypes.c_float * count)()
        top_tokens = (ctypes.c_int32 * max(1, count * top))()
        top_logprobs = (ctypes.c_float * max(1, count * top))()
        error = ctypes.c_void_p()
        if self._library.fh_token_logprobs(
            self._context,
            count,
            indices,
            chosen,
            top,
            chosen_logprobs,
            top_tokens,
            top_logprobs,
            ctypes.byref(error),
        ):
            raise_native(take_text(self._library, error))
        result = []
        for position in range(count):
            first = position * top
            alternatives = tuple(
                (*self._named(top_tokens[at]), top_logprobs[at])
                for at in range(first, first + top)
                if top_tokens[at] >= 0
            )
            text, piece = self._named(tokens[position])
            result.append(
                TokenLogprob(
                    token=text, bytes=piece, logprob=chosen_logprobs[position], top=alternatives
                )
            )
        return result

    def _named(self, token: int) -> tuple[str, tuple[int, ...]]:
        piece = token_piece(self._model, token)
        return piece.decode("utf-8", "replace"), tuple(piece)


def token_piece(model: int, token: int, *, special: bool = True) -> bytes:
    """Return a token's bytes, special tokens as their text unless `special` is false."""
    library = chat_library()
    room = 128
    while True:
        buffer = ctypes.create_string_buffer(room)
        size: int = library.fh_token_piece(model, token, int(special), buffer, room)
        if size >= 0:
            return buffer.raw[:size]
        room = -size


def special_texts(model: int) -> tuple[str, ...]:
    """Return the texts that the tokenizer turns into control or user-defined tokens.

    `FormatHelper` takes them to keep text written by a user from becoming control tokens.
    """
    library = chat_library()
    out = ctypes.c_void_p()
    status = library.fh_special_texts(model, ctypes.byref(out))
    payload = take_text(library, out)
    if status:
        raise_native(payload)
    return tuple(json.loads(payload))


def memory_breakdown(context: int) -> dict[str, dict[str, int]]:
    """Return bytes by device name and kind: `{"CPU": {"model": …, "context": …, "compute": …}}`."""
    library = chat_library()
    out = ctypes.c_void_p()
    status = library.fh_memory_breakdown(context, ctypes.byref(out))
    payload = take_text(library, out)
    if status:
        raise_native(payload)
    result: dict[str, dict[str, int]] = json.loads(payload)
    return result
