"""Add the GPU pack to this process: llama.cpp's CUDA backend with hooks, and the expert kernels.

A pack is a folder with `libggml-cuda.so` and `libmoe_kernels.so` (see kernels/README.md). It turns
an ordinary CPU installation into one that uses the GPU. Whatever is wrong with it is told as a
reason, and models run on the CPU.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from freehold.engine.ggml import backend_function, list_devices, load_backend
from freehold.engine.kernels import SWITCH_VARIABLE
from freehold.paths import user_paths

FOLDER_VARIABLE: Final = "FREEHOLD_GPU_PACK"
BACKEND, KERNELS = "libggml-cuda.so", "libmoe_kernels.so"
CUDA_LIBRARIES: Final = ("libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13")
ABI_VERSION: Final = 1
# Kernels that no GPU has run yet stay off unless a person asks for them.
UNASKED: Final = b"0"


@dataclass(frozen=True, slots=True)
class PackReport:
    """What became of the pack in this process.

    reason: why it was refused; for a loaded one, why its kernels are not in use, if they are not.
    kernels: each kernel and whether it is switched on.
    """

    state: Literal["absent", "loaded", "refused"]
    folder: str
    reason: str = ""
    version: str = ""
    built_for: str = ""
    kernels: tuple[tuple[str, bool], ...] = ()


class _Table(ctypes.Structure):
    """The beginning and the end of `moe_kernels`; what only the backend calls is left untyped."""

    _fields_ = [
        ("abi_version", ctypes.c_uint32),
        ("struct_bytes", ctypes.c_uint32),
        ("version", ctypes.c_char_p),
        ("build", ctypes.c_char_p),
        ("computing", ctypes.c_void_p * 7),
        ("set_enabled", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p)),
        ("generation", ctypes.CFUNCTYPE(ctypes.c_uint64)),
        ("kernel_count", ctypes.CFUNCTYPE(ctypes.c_int32)),
        ("kernel_name", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_int32)),
        ("kernel_enabled", ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)),
        ("last_error", ctypes.CFUNCTYPE(ctypes.c_char_p)),
    ]


def pack_folder() -> Path:
    """Return where a pack is looked for: FREEHOLD_GPU_PACK, or `gpu-pack` beside the chats."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen).expanduser() if chosen else user_paths().data / "gpu-pack"


@cache
def load_pack() -> PackReport:
    """Load the pack once per process, before devices are listed or a model is loaded."""
    return load_from(pack_folder())


def load_from(folder: Path) -> PackReport:
    """Load the pack of a folder, or say why not; never raises."""
    backend = folder / BACKEND
    if not backend.is_file():
        return PackReport("absent", str(folder))
    if any(device.backend == "CUDA" for device in list_devices()):
        reason = "llama.cpp itself was built with CUDA here; a second CUDA backend is not added"
        return PackReport("refused", str(folder), reason)
    missing = _open_cuda_libraries()
    registry = load_backend(backend)
    if not registry:
        reason = f"{BACKEND} does not load" + (f": {missing}" if missing else "")
        return PackReport("refused", str(folder), reason)
    return _set_kernels(folder, registry)


def _open_cuda_libraries() -> str:
    """Open CUDA's libraries of the Python packages, where they are; return what is wrong."""
    spec = importlib.util.find_spec("nvidia")
    roots = list(spec.submodule_search_locations or ()) if spec is not None else []
    problem = ""
    for name in CUDA_LIBRARIES:
        inside = [Path(root) / f"cu13/lib/{name}" for root in roots]
        file = next((path for path in inside if path.is_file()), Path(name))
        try:
            ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            problem = problem or str(error)
    return problem


def _set_kernels(folder: Path, registry: int) -> PackReport:
    path = str(folder)
    address = backend_function(registry, "freehold_moe_set_kernels")
    if not address:
        return PackReport("loaded", path, "this CUDA backend has no hooks for expert kernels")
    table = open_kernels(folder / KERNELS)
    if isinstance(table, str):
        return PackReport("loaded", path, table)
    set_kernels = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(address)
    if set_kernels(ctypes.addressof(table)) != 0:
        return PackReport("loaded", path, "backend and kernels speak different versions")
    if SWITCH_VARIABLE not in os.environ:
        table.set_enabled(UNASKED)
    numbers = range(table.kernel_count())
    return PackReport(
        "loaded",
        path,
        version=table.version.decode(),
        built_for=table.build.decode(),
        kernels=tuple(
            (table.kernel_name(n).decode(), table.kernel_enabled(n) != 0) for n in numbers
        ),
    )


def open_kernels(file: Path) -> Any | str:
    """Return the table of functions, or why there is none."""
    try:
        library = ctypes.CDLL(str(file))
        get = library.moe_kernels_get
    except (OSError, AttributeError) as error:
        return f"{KERNELS} does not load: {error}"
    get.restype, get.argtypes = ctypes.POINTER(_Table), [ctypes.c_uint32]
    table = get(ABI_VERSION)
    return table.contents if table else f"{KERNELS} speaks another version of its interface"
