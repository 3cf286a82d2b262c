"""How a model is to be loaded: what was asked now, over what was used last, over the defaults."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import msgspec

from freehold.engine.requests import BufferOverride, LoadOptions, Placement
from freehold.errors import AppError
from freehold.secrets import write_private
from freehold.wire import LoadRequest, ModelEntry

log = logging.getLogger(__name__)

MAX_CONTEXT_TOKENS = 16_777_216
MAX_PARALLEL = 256
MAX_BATCH_TOKENS = 65_536
MAX_LAYERS = 10_000
MAX_THREADS = 1_024
MAX_OVERRIDES = 1_024
KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")

# Takes a pinned number of layers back.
BY_PLAN = -1

_BOUNDS = {
    "context_tokens": (1, MAX_CONTEXT_TOKENS),
    "parallel": (1, MAX_PARALLEL),
    "gpu_layers": (BY_PLAN, MAX_LAYERS),
    "main_gpu": (0, 255),
    "cpu_expert_layers": (0, MAX_LAYERS),
    "threads": (1, MAX_THREADS),
    "batch_tokens": (1, MAX_BATCH_TOKENS),
    "micro_batch_tokens": (1, MAX_BATCH_TOKENS),
}


def check_load_request(request: LoadRequest) -> None:
    """Raise AppError `invalid_request` for a number, type or list out of bounds."""
    for name, (low, high) in _BOUNDS.items():
        value = getattr(request, name)
        if value is not None and not low <= value <= high:
            raise _refused(name, f"must be between {low:,} and {high:,}, not {value:,}")
    for name in ("kv_type_k", "kv_type_v"):
        value = getattr(request, name)
        if value is not None and value not in KV_TYPES:
            raise _refused(name, f"must be one of {', '.join(KV_TYPES)}")
    if request.tensor_split is not None and (
        len(request.tensor_split) > 256
        or any(not 0 <= part <= 1e6 for part in request.tensor_split)
    ):
        raise _refused("tensor_split", "needs at most 256 shares, none of them negative")
    if request.devices is not None and len(request.devices) > 256:
        raise _refused("devices", "names more than 256 devices")
    if any(not 0 <= size <= 1 << 50 for size in request.reserve_bytes or ()):
        raise _refused("reserve_bytes", "must hold sizes that are not negative")
    overrides = request.overrides or ()
    if len(overrides) > MAX_OVERRIDES or any(len(p) > 500 or len(b) > 100 for p, b in overrides):
        raise _refused("overrides", f"has more than {MAX_OVERRIDES} entries or an overlong one")


def _refused(name: str, what: str) -> AppError:
    return AppError(
        "invalid_request",
        f"The load option {name} {what}.",
        "Change it and load again.",
        detail={"param": name},
    )


def merge(remembered: LoadRequest, asked: LoadRequest | None) -> LoadRequest:
    """Return `remembered` with everything `asked` for put over it."""
    if asked is None:
        return remembered
    given = {
        name: value
        for name in LoadRequest.__struct_fields__
        if (value := getattr(asked, name)) is not None
    }
    if given.get("gpu_layers") == BY_PLAN:
        given["gpu_layers"] = None
    return msgspec.structs.replace(remembered, **given)


def to_options(entry: ModelEntry, request: LoadRequest) -> LoadOptions:
    """Return the engine's options for `request`, with the engine's defaults where it is silent."""
    placement = {
        name: getattr(request, name)
        for name in ("gpu_layers", "split_mode", "main_gpu", "tensor_split", "cpu_expert_layers")
        if getattr(request, name) is not None
    }
    overrides = tuple(
        BufferOverride(pattern=pattern, buffer=buffer)
        for pattern, buffer in request.overrides or ()
    )
    options = {
        name: getattr(request, name)
        for name in (
            "context_tokens",
            "parallel",
            "kv_type_k",
            "kv_type_v",
            "flash_attention",
            "threads",
            "batch_tokens",
            "micro_batch_tokens",
            "memory",
            "repack",
            "expert_kernels",
        )
        if getattr(request, name) is not None
    }
    return LoadOptions(
        path=entry.path,
        placement=Placement(devices=request.devices, overrides=overrides, **placement),
        embeddings=entry.kind == "embedding",
        **options,
    )


class LoadMemory:
    """What each model was last loaded with, in one small JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._read()

    def recall(self, ref: str) -> LoadRequest:
        """Return the options `ref` was last loaded with, or empty ones."""
        return self._known.get(ref, LoadRequest())

    def keep(self, ref: str, request: LoadRequest) -> None:
        """Remember `request` for `ref`; a file that cannot be written is only logged."""
        request = msgspec.structs.replace(request, force=None)
        if self._known.get(ref, LoadRequest()) == request:
            return
        self._known[ref] = request
        try:
            write_private(self._path, json.dumps(msgspec.to_builtins(self._known), indent=1))
        except AppError as error:
            log.warning("load options were not remembered: %s", error.message)

    def _read(self) -> dict[str, LoadRequest]:
        try:
            known = msgspec.json.decode(self._path.read_bytes(), type=dict[str, LoadRequest])
            for request in known.values():
                check_load_request(request)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, AppError):
            log.warning("remembered load options could not be read; defaults are used")
            return {}
        return known
