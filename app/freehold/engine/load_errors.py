"""What llama.cpp said when it could not load a model, as a cause and a next step."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from freehold.errors import AppError

_UPDATE = "Update Freehold, or choose a model of another architecture."
_DAMAGED = "Download or copy the file again; if that does not help, the file itself is damaged."
_SMALLER = (
    "Choose a smaller quantisation or context, keep fewer layers on the GPU, or close other "
    "programs."
)

_CAUSES: Final[tuple[tuple[str, str, Callable[[re.Match[str]], str], str], ...]] = (
    (
        r"unknown model architecture: '([^']*)'",
        "unsupported_architecture",
        lambda m: f"llama.cpp does not know the architecture '{m[1][:60]}' of this model.",
        _UPDATE,
    ),
    (
        r"unknown pre-tokenizer type: '([^']*)'|unknown tokenizer: '([^']*)'",
        "unsupported_architecture",
        lambda m: f"llama.cpp does not know the tokenizer '{(m[1] or m[2])[:60]}' of this model.",
        _UPDATE,
    ),
    (
        r"(?i)cudaMalloc failed: out of memory|CUDA error: out of memory|ErrorOutOfDeviceMemory",
        "does_not_fit",
        lambda _: "The GPU has not enough free memory for this model.",
        _SMALLER,
    ),
    (
        r"unable to allocate (\S+) buffer|failed to allocate (\S+ )?(?:buffer|compute|context)"
        r"|std::bad_alloc|failed to allocate buffer for (?:kv|rs) cache",
        "does_not_fit",
        lambda _: "There is not enough free memory for this model and its context.",
        _SMALLER,
    ),
    (
        r"is not within the file bounds|file is corrupted or incomplete|unexpectedly reached end"
        r"|read error|failed to read (?:tensor|key|magic)",
        "invalid_model",
        lambda _: "The model file is incomplete or damaged.",
        _DAMAGED,
    ),
    (
        r"missing tensor '([^']*)'|corrupted model|wrong shape|wrong number of tensors"
        r"|check_tensor_dims",
        "invalid_model",
        lambda _: "The model file does not hold the tensors its architecture needs.",
        _DAMAGED,
    ),
    (
        r"key not found in model: (\S+)|error loading model hyperparameters: (.{1,120})"
        r"|error loading model vocabulary: (.{1,120})",
        "invalid_model",
        lambda m: f"The model file's description is not usable: {next(g for g in m.groups() if g)}",
        _DAMAGED,
    ),
    (
        r"invalid magic characters|gguf_init_from_\w+: |failed to load GGUF",
        "invalid_model",
        lambda _: "The file is not a usable GGUF model.",
        _DAMAGED,
    ),
    (
        r"failed to open .*: (Permission denied|No such file.*)",
        "invalid_model",
        lambda m: f"The model file cannot be opened: {m[1].lower()}.",
        "Check that the file is there and that your user may read it.",
    ),
    (
        r"llama_init_from_model: (.*(?:cache type|flash_attn|Flash Attention|block size).*)",
        "invalid_request",
        lambda m: f"These KV cache types or attention settings do not suit this model: {m[1]}.",
        "Choose f16 for both parts of the KV cache and leave flash attention on auto.",
    ),
)


def explain_failure(lines: Sequence[str]) -> AppError:
    """Return the error for a failed load from llama.cpp's log, oldest line first."""
    detail = {"log": list(lines[-12:])}
    text = "\n".join(lines)
    for pattern, code, tell, hint in _CAUSES:
        found = re.search(pattern, text)
        if found:
            return AppError(code, tell(found), hint, detail=detail)
    return AppError(
        "invalid_model",
        "llama.cpp could not load this model.",
        "Its last words are in the details; download the file again if it may be damaged.",
        detail=detail,
    )
