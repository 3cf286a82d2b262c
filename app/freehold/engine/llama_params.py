"""Load options as llama.cpp's parameter structures, and the devices they may name."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from typing import Any, Final

import psutil
from llama_cpp import llama_cpp as native

from freehold.engine.ggml import Device, ggml, list_devices
from freehold.engine.gpu_pack import load_pack
from freehold.engine.requests import LoadOptions, Placement
from freehold.errors import AppError

KV_TYPES: Final = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q5_0": 6,
    "q5_1": 7,
    "q8_0": 8,
    "iq4_nl": 20,
    "bf16": 30,
}
_SPLIT_MODES: Final = {"none": 0, "layer": 1, "row": 2}
_LOAD_MODES: Final = {"mmap": 1, "mlock": 3, "read": 0}
_FLASH: Final = {"auto": -1, "off": 0, "on": 1}
_ALL_LAYERS: Final = -1
MAX_THREADS: Final = 512
MAX_BATCH: Final = 65_536
MAX_PARALLEL: Final = 240
MAX_OVERRIDES: Final = 4096
MAX_PATTERN_CHARACTERS: Final = 500
EXPERT_TENSORS: Final = r"ffn_(up|down|gate|gate_up)_(ch|)exps"


class _Override(ctypes.Structure):
    _fields_ = [("pattern", ctypes.c_char_p), ("buft", ctypes.c_void_p)]


def check_options(options: LoadOptions) -> None:
    """Raise AppError `invalid_request` for a number or name llama.cpp must not see."""
    placement = options.placement
    for name, value, low, high in (
        ("context_tokens", options.context_tokens, 16, 1 << 24),
        ("parallel", options.parallel, 1, MAX_PARALLEL),
        ("batch_tokens", options.batch_tokens, 1, MAX_BATCH),
        ("micro_batch_tokens", options.micro_batch_tokens, 1, MAX_BATCH),
        ("threads", options.threads, 1, MAX_THREADS),
        ("threads_batch", options.threads_batch, 1, MAX_THREADS),
        ("gpu_layers", placement.gpu_layers, 0, 10_000),
        ("main_gpu", placement.main_gpu, 0, 255),
        ("cpu_expert_layers", placement.cpu_expert_layers, 0, 10_000),
    ):
        if value is not None and not low <= value <= high:
            raise _refused(name, f"must be between {low:,} and {high:,}, not {value:,}")
    for name, text in (("kv_type_k", options.kv_type_k), ("kv_type_v", options.kv_type_v)):
        if text not in KV_TYPES:
            raise _refused(name, f"must be one of {', '.join(KV_TYPES)}, not '{text[:40]}'")
    if any(not 0 <= share <= 1e9 for share in placement.tensor_split):
        raise _refused("tensor_split", "must hold shares that are not negative")
    if len(placement.tensor_split) > native.llama_max_devices():
        raise _refused("tensor_split", f"may name at most {native.llama_max_devices()} devices")
    if len(placement.overrides) > MAX_OVERRIDES:
        raise _refused("overrides", f"may hold at most {MAX_OVERRIDES} pins")
    for override in placement.overrides:
        _check_pattern(override.pattern)


def _check_pattern(pattern: str) -> None:
    # std::regex throws where nothing catches it; Python's syntax is near enough to test first.
    try:
        re.compile(pattern)
        is_valid = 0 < len(pattern) <= MAX_PATTERN_CHARACTERS and "\0" not in pattern
    except re.error:
        is_valid = False
    if not is_valid or "(?<" in pattern or "(?P" in pattern:
        raise _refused("overrides", f"holds a pattern that is no regular expression: {pattern!r}")


def _refused(name: str, what: str) -> AppError:
    return AppError(
        "invalid_request",
        f"The load option {name} {what}.",
        "Change it and load again.",
        detail={"param": name},
    )


class ModelParams:
    """`llama_model_params` for load options, with everything it points to kept alive."""

    def __init__(self, options: LoadOptions, on_progress: Callable[[float], bool]) -> None:
        load_pack()
        devices = list_devices()
        placement = options.placement
        self.value: Any = native.llama_model_default_params()
        self.used_devices = _chosen(placement, devices)
        self._keep: list[Any] = []
        gpus = [device.handle for device in self.used_devices if not device.is_cpu]
        self._devices = (ctypes.c_void_p * (len(gpus) + 1))(*gpus, None)
        self.value.devices = ctypes.addressof(self._devices)
        layers = placement.gpu_layers
        self.value.n_gpu_layers = (_ALL_LAYERS if layers is None else layers) if gpus else 0
        self.value.split_mode = _SPLIT_MODES[placement.split_mode]
        self.value.main_gpu = placement.main_gpu if placement.main_gpu < len(gpus) else 0
        self.value.load_mode = _LOAD_MODES[options.memory]
        self.value.use_extra_bufts = options.repack
        if placement.tensor_split:
            shares = (ctypes.c_float * native.llama_max_devices())(*placement.tensor_split)
            self._keep.append(shares)
            self.value.tensor_split = shares
        self._overrides = _overrides(placement, devices)
        if self._overrides is not None:
            self.value.tensor_buft_overrides = ctypes.addressof(self._overrides)
        self._progress = native.llama_progress_callback(
            lambda fraction, _data: on_progress(float(fraction))
        )
        self.value.progress_callback = self._progress


def _chosen(placement: Placement, devices: list[Device]) -> list[Device]:
    """Return the devices weights may go to; the CPU alone if there is no other."""
    gpus = [device for device in devices if not device.is_cpu]
    if placement.devices is not None:
        by_name = {device.name: device for device in devices}
        for name in placement.devices:
            if name not in by_name:
                raise AppError(
                    "invalid_request",
                    f"There is no device named {name[:60]!r}.",
                    f"This machine has: {', '.join(by_name)}.",
                    detail={"param": "devices", "devices": list(by_name)},
                )
        gpus = [by_name[name] for name in placement.devices if not by_name[name].is_cpu]
    if placement.gpu_layers == 0 or not gpus:
        return [device for device in devices if device.is_cpu][:1]
    return gpus


def _overrides(placement: Placement, devices: list[Device]) -> Any:
    """Return llama.cpp's NULL-terminated list of tensor pins, or None for none."""
    library = ggml()
    buffers = {}
    for device in devices:
        buffer_type = library.ggml_backend_dev_buffer_type(device.handle)
        buffers[library.ggml_backend_buft_name(buffer_type).decode()] = buffer_type
        buffers.setdefault(device.name, buffer_type)
    pins = []
    for override in placement.overrides:
        if override.buffer not in buffers:
            raise AppError(
                "invalid_request",
                f"There is no buffer type named {override.buffer[:60]!r}.",
                f"This machine has: {', '.join(buffers)}.",
                detail={"param": "overrides", "buffers": list(buffers)},
            )
        pins.append((override.pattern.encode(), buffers[override.buffer]))
    pins += [
        (rf"blk\.({layer})\.{EXPERT_TENSORS}".encode(), buffers["CPU"])
        for layer in range(placement.cpu_expert_layers)
    ]
    if not pins:
        return None
    return (_Override * (len(pins) + 1))(*(_Override(*pin) for pin in pins), _Override(None, None))


def context_params(
    options: LoadOptions, *, context_tokens: int, slots: int, abort: Any, abort_data: int
) -> Any:
    """Return `llama_context_params` for the context that generates."""
    params = native.llama_context_default_params()
    params.n_ctx = context_tokens
    params.n_batch = max(options.batch_tokens, options.parallel)
    params.n_ubatch = min(options.micro_batch_tokens, params.n_batch)
    params.n_seq_max = slots
    # One row of logits per sequence, not per token of the batch: with a vocabulary of 160 k that
    # is the difference between 10 MB and 1.3 GB.
    params.n_outputs_max = slots
    params.n_threads, params.n_threads_batch = thread_counts(options)
    params.type_k = KV_TYPES[options.kv_type_k]
    params.type_v = KV_TYPES[options.kv_type_v]
    params.flash_attn_type = _FLASH[options.flash_attention]
    params.kv_unified = True
    # Without the full window a follow-up turn could not go back to where the answer began.
    params.swa_full = True
    params.no_perf = True
    params.abort_callback = abort
    params.abort_callback_data = abort_data
    return params


def thread_counts(options: LoadOptions) -> tuple[int, int]:
    """Return the threads for decode and for prompts: the physical cores this process may use."""
    allowed = len(psutil.Process().cpu_affinity() or ()) or 1
    physical = min(psutil.cpu_count(logical=False) or allowed, allowed)
    decode = options.threads or physical
    return decode, options.threads_batch or decode
