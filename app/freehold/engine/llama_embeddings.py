"""Embeddings: a context of its own, made with the first request, pooled as the model says.

A model that ranks gives one score per input instead of a vector: how well the two texts of a pair
fit each other.
"""

from __future__ import annotations

import math
import struct
from typing import Any, Final

from llama_cpp import llama_cpp as native

from freehold.engine.llama import NativeModel
from freehold.engine.llama_log import NativeLog
from freehold.engine.llama_params import thread_counts
from freehold.engine.load_errors import explain_failure
from freehold.engine.requests import LoadOptions
from freehold.errors import AppError

MAX_INPUTS_AT_ONCE: Final = 16
LONGEST_INPUT_TOKENS: Final = 2048  # for a chat model asked to embed; an embedding model has more
_POOLING_NONE: Final = 0
_POOLING_MEAN: Final = 1
_POOLING_RANK: Final = 4


class NativeEmbedder:
    """Owns a `llama_context` that gives one vector per input; used by the decode thread alone."""

    def __init__(self, model: NativeModel, options: LoadOptions, log: NativeLog) -> None:
        self._model = model
        self._options = options
        self._log = log
        self._handle: Any = None
        self._batch: Any = None
        wanted = max(LONGEST_INPUT_TOKENS, options.batch_tokens if options.embeddings else 0)
        trained = model.trained_context_tokens or wanted
        self.longest_tokens = min(trained, options.context_tokens or wanted, wanted)

    @property
    def handle(self) -> int:
        """Return llama.cpp's address of the context, making it first if needed.

        Raises: AppError `does_not_fit`, `not_supported`.
        """
        if self._handle is None:
            self._handle = self._make()
            self._batch = native.llama_batch_init(self.longest_tokens, 0, 1)
        return int(self._handle)

    def close(self) -> None:
        """Free the context; may be called twice."""
        handle, self._handle = self._handle, None
        if handle:
            native.llama_batch_free(self._batch)
            native.llama_free(handle)

    def check(self, inputs: tuple[list[int], ...]) -> None:
        """Raise AppError `context_length_exceeded` for an input that does not fit."""
        for tokens in inputs:
            if len(tokens) > self.longest_tokens:
                raise AppError(
                    "context_length_exceeded",
                    f"An input has {len(tokens):,} tokens; this model embeds at most "
                    f"{self.longest_tokens:,} at once.",
                    "Cut the text into shorter pieces.",
                    detail={"prompt_tokens": len(tokens), "context_tokens": self.longest_tokens},
                )

    def next_group(self, inputs: tuple[list[int], ...], start: int) -> int:
        """Return where the group of inputs that begins at `start` and fits one batch ends."""
        total = 0
        end = start
        while end < len(inputs) and end - start < MAX_INPUTS_AT_ONCE:
            total += len(inputs[end])
            if total > self.longest_tokens:
                break
            end += 1
        return end

    def embed(self, inputs: tuple[list[int], ...]) -> list[bytes]:
        """Return the normalised vectors of one group of inputs, or their scores."""
        handle = self.handle
        batch = self._batch
        row = 0
        for slot, tokens in enumerate(inputs):
            for position, token in enumerate(tokens):
                batch.token[row] = token
                batch.pos[row] = position
                batch.n_seq_id[row] = 1
                batch.seq_id[row][0] = slot
                batch.logits[row] = 1
                row += 1
        batch.n_tokens = row
        memory = native.llama_get_memory(handle)
        if memory:
            native.llama_memory_clear(memory, True)
        if native.llama_decode(handle, batch) != 0:
            raise AppError(
                "does_not_fit",
                "There was not enough memory to embed the text.",
                "Send shorter texts, or load the model with a smaller batch size.",
            )
        if native.llama_pooling_type(handle) == _POOLING_RANK:
            return [self._score(handle, slot) for slot in range(len(inputs))]
        size = native.llama_model_n_embd_out(self._model.handle)
        return [self._vector(handle, slot, size) for slot in range(len(inputs))]

    def _vector(self, handle: int, slot: int, size: int) -> bytes:
        pointer = native.llama_get_embeddings_seq(handle, slot)
        if not pointer:
            raise AppError("internal", "llama.cpp returned no embedding for an input.")
        values = pointer[:size]
        norm = math.sqrt(math.fsum(value * value for value in values)) or 1.0
        return struct.pack(f"<{size}f", *(value / norm for value in values))

    def _score(self, handle: int, slot: int) -> bytes:
        pointer = native.llama_get_embeddings_seq(handle, slot)
        if not pointer:
            raise AppError("internal", "llama.cpp returned no score for an input.")
        return struct.pack("<f", pointer[0])

    def _make(self) -> Any:
        self._log.clear()
        params = native.llama_context_default_params()
        params.n_ctx = self.longest_tokens
        params.n_batch = params.n_ubatch = self.longest_tokens  # pooling needs an input whole
        params.n_seq_max = MAX_INPUTS_AT_ONCE
        params.n_threads, params.n_threads_batch = thread_counts(self._options)
        params.embeddings = True
        params.kv_unified = True
        params.no_perf = True
        handle = native.llama_init_from_model(self._model.handle, params)
        if handle and native.llama_pooling_type(handle) == _POOLING_NONE:
            native.llama_free(handle)
            params.pooling_type = _POOLING_MEAN
            handle = native.llama_init_from_model(self._model.handle, params)
        if not handle:
            raise explain_failure(self._log.lines())
        return handle
