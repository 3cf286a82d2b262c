"""Find and open the native libraries: llama.cpp's own and `libfreehold_chat` beside them.

The file is opened by path, without importing `llama_cpp`, so the small format worker starts fast.
libllama is opened first and under the same name that `llama_cpp` uses: wheels hold no symbolic
links, so opening it under another name would load a second copy with state of its own.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from freehold.errors import AppError

ABI_VERSION = 1


@cache
def library_folder() -> Path:
    """Return the folder that holds libllama and libfreehold_chat.

    Raises: AppError `internal` if llama-cpp-python is not installed.
    """
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or not spec.submodule_search_locations:
        raise AppError(
            "internal", "llama.cpp is not installed.", "Run `make run` to build it, then try again."
        )
    return Path(next(iter(spec.submodule_search_locations))) / "lib"


def templates_folder() -> Path:
    """Return the folder with the chat templates of llama.cpp's source package (`*.jinja`)."""
    return library_folder() / "templates"


@cache
def chat_library() -> ctypes.CDLL:
    """Open libfreehold_chat once per process, with its functions declared.

    Raises: AppError `internal` if the library is missing or of another version.
    """
    return open_library(library_folder())


def open_library(folder: Path) -> ctypes.CDLL:
    """Open libfreehold_chat of a folder, with its functions declared.

    Raises: AppError `internal` if the library is missing or of another version.
    """
    hint = "Run `make run` to build it again."
    try:
        ctypes.CDLL(str(folder / "libllama.so"))
        library = ctypes.CDLL(str(folder / "libfreehold_chat.so"))
    except OSError as error:
        raise AppError(
            "internal", f"The chat-format library cannot be opened: {error}.", hint
        ) from error
    if library.fh_abi_version() != ABI_VERSION:
        raise AppError("internal", "The chat-format library is of another version.", hint)
    _declare(library)
    return library


def take_text(library: ctypes.CDLL, pointer: ctypes.c_void_p, size: int | None = None) -> bytes:
    """Copy a string the library allocated and give it back to the library."""
    if not pointer:
        return b""
    try:
        address = pointer.value
        assert address is not None
        return ctypes.string_at(address) if size is None else ctypes.string_at(address, size)
    finally:
        library.fh_free(pointer)


def raise_native(payload: bytes) -> None:
    """Raise the AppError that an error string of the library stands for."""
    try:
        data: Any = json.loads(payload)
        kind, message = str(data["kind"]), str(data["message"])
    except (ValueError, KeyError, TypeError):
        kind, message = "internal", payload.decode("utf-8", "replace")
    raise native_error(kind, message)


_HINTS = {
    "invalid_template": "Choose another chat template for this model, or send plain text to "
    "/v1/completions.",
    "invalid_grammar": "Check the grammar or JSON schema of the request.",
    "invalid_request": "Check the messages and tools of the request.",
}


# The template engine shows its source around the fault, over several lines.
_TEMPLATE_SOURCE = re.compile(r"-{6,}\s+While executing .*?\bError: ", re.DOTALL)


def native_error(kind: str, message: str) -> AppError:
    """Return the AppError for an error kind of the library and its words."""
    code = kind if kind in _HINTS else "internal"
    words = " ".join(_TEMPLATE_SOURCE.sub(" ", message).split())
    if len(words) > 500:
        words = words[:500] + "…"
    lead = {
        "invalid_template": "The model's chat template could not be applied",
        "invalid_grammar": "The grammar or JSON schema cannot be used",
        "invalid_request": "The request cannot be rendered",
        "internal": "The chat-format library failed",
    }[code]
    return AppError(code, f"{lead}: {words.rstrip('.')}.", _HINTS.get(code, "See the log."))


def _declare(library: ctypes.CDLL) -> None:
    """Declare the C functions of kernels/chat/freehold_chat.h."""
    pointer, text, size, int32 = (
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_int32,
    )
    out = ctypes.POINTER(ctypes.c_void_p)
    ints = ctypes.POINTER(ctypes.c_int32)
    floats = ctypes.POINTER(ctypes.c_float)
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "fh_free": (None, [pointer]),
        "fh_templates_new": (ctypes.c_int, [text, text, text, out, out]),
        "fh_templates_free": (None, [pointer]),
        "fh_templates_describe": (ctypes.c_int, [pointer, out]),
        "fh_templates_apply": (ctypes.c_int, [pointer, text, out]),
        "fh_grammar_from_schema": (ctypes.c_int, [text, out]),
        "fh_grammar_check": (ctypes.c_int, [text, out]),
        "fh_parser_new": (ctypes.c_int, [text, out, out]),
        "fh_parser_free": (None, [pointer]),
        "fh_parser_feed": (
            ctypes.c_int,
            [pointer, text, size, ctypes.c_int, out, ctypes.POINTER(size)],
        ),
        "fh_sampler_new": (ctypes.c_int, [pointer, pointer, text, out, out]),
        "fh_sampler_free": (None, [pointer]),
        "fh_sampler_accept": (ctypes.c_int, [pointer, int32, out]),
        "fh_sample_step": (
            ctypes.c_int,
            [pointer, int32, ctypes.POINTER(pointer), ints, ints, ints, ints, text, int32, out],
        ),
        "fh_token_logprobs": (
            ctypes.c_int,
            [pointer, int32, ints, ints, int32, floats, ints, floats, out],
        ),
        "fh_token_piece": (int32, [pointer, int32, ctypes.c_int, text, int32]),
        "fh_special_texts": (ctypes.c_int, [pointer, out]),
        "fh_memory_breakdown": (ctypes.c_int, [pointer, out]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
