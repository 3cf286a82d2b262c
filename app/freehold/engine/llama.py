"""One loaded model: its weights, its vocabulary and what it says of itself."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import psutil
from llama_cpp import llama_cpp as native

from freehold.engine.ggml import Device
from freehold.engine.llama_log import NativeLog
from freehold.engine.llama_params import ModelParams, check_options
from freehold.engine.load_errors import explain_failure
from freehold.engine.model_file import model_bytes
from freehold.engine.requests import LoadOptions
from freehold.errors import AppError
from freehold.units import format_bytes

DEFAULT_CONTEXT_TOKENS: Final = 16_384
UNKNOWN_TRAINED_TOKENS: Final = 4096


class NativeModel:
    """Owns a `llama_model`; thread-safe for tokenising, closed once."""

    def __init__(
        self, options: LoadOptions, log: NativeLog, on_progress: Callable[[float], bool]
    ) -> None:
        """Load the weights; `on_progress` returns whether to go on.

        Raises: AppError `invalid_model`, `unsupported_architecture`, `does_not_fit`,
            `invalid_request`.
        """
        native.llama_backend_init()
        log.install()
        log.clear()
        check_options(options)
        params = ModelParams(options, on_progress)
        self.devices: list[Device] = params.used_devices
        if options.memory != "mmap" and all(device.is_cpu for device in self.devices):
            _check_room(Path(options.path))
        self._handle: Any = native.llama_model_load_from_file(
            os.fsencode(options.path), params.value
        )
        if not self._handle:
            raise explain_failure(log.lines())
        self.vocab: Any = native.llama_model_get_vocab(self._handle)
        self.vocab_size: int = native.llama_vocab_n_tokens(self.vocab)

    @property
    def handle(self) -> int:
        """Return llama.cpp's address of the model."""
        if not self._handle:
            raise ValueError("the model is closed")
        return int(self._handle)

    def close(self) -> None:
        """Free the weights; may be called twice."""
        handle, self._handle = self._handle, None
        if handle:
            native.llama_model_free(handle)

    # --- what it is

    def metadata(self, key: str) -> str | None:
        """Return a scalar of the GGUF header as text."""
        buffer = ctypes.create_string_buffer(4096)
        size = native.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return None if size < 0 else buffer.value.decode("utf-8", "replace")

    @property
    def architecture(self) -> str:
        return self.metadata("general.architecture") or ""

    @property
    def description(self) -> str:
        buffer = ctypes.create_string_buffer(256)
        native.llama_model_desc(self.handle, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    @property
    def chat_template(self) -> str | None:
        text: bytes | None = native.llama_model_chat_template(self.handle, None)
        return None if text is None else text.decode("utf-8", "replace")

    @property
    def trained_context_tokens(self) -> int:
        return int(native.llama_model_n_ctx_train(self.handle))

    @property
    def is_stateful(self) -> bool:
        """Return whether its memory is a running state that cannot be taken back."""
        return bool(
            native.llama_model_is_recurrent(self.handle)
            or native.llama_model_is_hybrid(self.handle)
        )

    @property
    def can_generate(self) -> bool:
        """Return whether it continues text: not an encoder, not diffusion, not bidirectional."""
        return bool(
            native.llama_model_has_decoder(self.handle)
            and not native.llama_model_has_encoder(self.handle)
            and not native.llama_model_is_diffusion(self.handle)
            and self.metadata(f"{self.architecture}.attention.causal") != "false"
        )

    @property
    def embedding_size(self) -> int:
        return int(native.llama_model_n_embd(self.handle))

    @property
    def has_encoder(self) -> bool:
        return bool(native.llama_model_has_encoder(self.handle))

    @property
    def has_infill(self) -> bool:
        return min(self.infill_tokens()) >= 0

    def size_bytes(self) -> int:
        return int(native.llama_model_size(self.handle))

    def parameters(self) -> int:
        return int(native.llama_model_n_params(self.handle))

    def infill_tokens(self) -> tuple[int, int, int]:
        """Return the tokens before the prefix, the suffix and the middle; -1 for none."""
        vocab = self.vocab
        return (
            native.llama_vocab_fim_pre(vocab),
            native.llama_vocab_fim_suf(vocab),
            native.llama_vocab_fim_mid(vocab),
        )

    def end_tokens(self) -> tuple[int, ...]:
        """Return every token that ends generation."""
        return tuple(
            token
            for token in range(self.vocab_size)
            if native.llama_vocab_is_eog(self.vocab, token)
        )

    def token_text(self, which: str) -> str:
        """Return the text of the "bos" or "eos" token, "" for none."""
        token = getattr(native, f"llama_vocab_{which}")(self.vocab)
        if token < 0:
            return ""
        text: bytes = native.llama_vocab_get_text(self.vocab, token)
        return text.decode("utf-8", "replace")

    def adds(self, which: str) -> bool:
        """Return whether the tokenizer adds its "bos" or "eos" token by itself."""
        return bool(getattr(native, f"llama_vocab_get_add_{which}")(self.vocab))

    def choose_context(self, asked: int | None) -> int:
        """Return the cells to make: what was asked for, or a middling default.

        Raises: AppError `invalid_request` if more is asked for than the model was trained for.
        """
        trained = self.trained_context_tokens or UNKNOWN_TRAINED_TOKENS
        if asked is None:
            return min(trained, DEFAULT_CONTEXT_TOKENS)
        limit = max(trained, self._scaled_context())
        if asked > limit:
            raise AppError(
                "invalid_request",
                f"A context of {asked:,} tokens was asked for; this model was trained for "
                f"{limit:,}.",
                f"Load it with a context of at most {limit:,} tokens.",
                detail={"context_tokens": asked, "trained_context_tokens": limit},
            )
        return asked

    def _scaled_context(self) -> int:
        """Return the context its own rope scaling stretches to, 0 if it names none."""
        prefix = f"{self.architecture}.rope.scaling"
        factor = self.metadata(f"{prefix}.factor")
        original = self.metadata(f"{prefix}.original_context_length")
        try:
            return int(float(factor or 0) * int(original or 0))
        except ValueError:
            return 0

    # --- text and tokens

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool = True) -> list[int]:
        """Return the tokens of a text."""
        data = text.encode("utf-8", "surrogatepass")
        room = len(data) + 8
        tokens = (ctypes.c_int32 * room)()
        count = native.llama_tokenize(
            self.vocab, data, len(data), tokens, room, add_special, parse_special
        )
        if count < 0:
            raise AppError(
                "invalid_request",
                "The text cannot be turned into tokens.",
                "Send it in smaller pieces.",
            )
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        """Return a token's bytes, special tokens as their text."""
        buffer = ctypes.create_string_buffer(256)
        size = native.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, True)
        if size < 0:
            buffer = ctypes.create_string_buffer(-size)
            size = native.llama_token_to_piece(self.vocab, token, buffer, -size, 0, True)
        return buffer.raw[: max(0, size)]

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens.

        Raises: AppError `invalid_request` for a token the vocabulary lacks.
        """
        self.check_tokens(tokens)
        return b"".join(map(self.piece, tokens)).decode("utf-8", "replace")

    def check_tokens(self, tokens: Sequence[int]) -> None:
        """Raise AppError `invalid_request` for a token the vocabulary lacks."""
        if any(not 0 <= token < self.vocab_size for token in tokens):
            raise AppError(
                "invalid_request",
                f"The prompt holds a token number outside of the vocabulary of "
                f"{self.vocab_size:,}.",
                "Send text, or tokens of this model's vocabulary.",
            )


def _check_room(path: Path) -> None:
    needed = model_bytes(path)
    room = psutil.virtual_memory().available + psutil.swap_memory().free
    if needed > room:
        raise AppError(
            "does_not_fit",
            f"The model takes {format_bytes(needed)} and {format_bytes(room)} of memory are free.",
            "Choose a smaller variant, or let it run from the disk, slowly (Load with options… in"
            " the window, `--memory mmap` in the terminal).",
            detail={"model_bytes": needed, "available_bytes": room},
        )
