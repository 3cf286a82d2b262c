"""ggml's own library: its devices and the backends it can load.

It is opened by path, without importing `llama_cpp`, so that the probe can look at it alone.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from freehold.engine.native import library_folder


class Device(NamedTuple):
    """One of ggml's devices."""

    handle: int
    name: str
    description: str
    is_cpu: bool
    backend: str


@cache
def ggml() -> ctypes.CDLL:
    """Return the ggml library libllama is linked with, with the functions used here declared."""
    # The name libllama was linked with: another name would load a second, empty copy.
    library = ctypes.CDLL(str(library_folder() / "libggml.so.0"))
    base = ctypes.CDLL(str(library_folder() / "libggml-base.so.0"))
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for owner, name, result, arguments in (
        (library, "ggml_backend_dev_count", ctypes.c_size_t, []),
        (library, "ggml_backend_dev_get", pointer, [ctypes.c_size_t]),
        (base, "ggml_backend_dev_name", text, [pointer]),
        (base, "ggml_backend_dev_description", text, [pointer]),
        (base, "ggml_backend_dev_type", ctypes.c_int, [pointer]),
        (base, "ggml_backend_dev_backend_reg", pointer, [pointer]),
        (base, "ggml_backend_dev_buffer_type", pointer, [pointer]),
        (base, "ggml_backend_reg_name", text, [pointer]),
        (base, "ggml_backend_buft_name", text, [pointer]),
    ):
        function = getattr(owner, name)
        function.restype, function.argtypes = result, arguments
        setattr(library, name, function)
    return library


def list_devices() -> list[Device]:
    """Return ggml's devices in its own order."""
    library = ggml()
    devices = []
    for index in range(library.ggml_backend_dev_count()):
        handle = library.ggml_backend_dev_get(index)
        registry = library.ggml_backend_dev_backend_reg(handle)
        devices.append(
            Device(
                handle,
                library.ggml_backend_dev_name(handle).decode(),
                library.ggml_backend_dev_description(handle).decode("utf-8", "replace"),
                library.ggml_backend_dev_type(handle) == 0,
                library.ggml_backend_reg_name(registry).decode(),
            )
        )
    return devices


def load_backend(file: Path) -> int | None:
    """Add a backend library to ggml's registry; return its handle, None if it does not load."""
    library = ggml()
    library.ggml_backend_load.restype = ctypes.c_void_p
    library.ggml_backend_load.argtypes = [ctypes.c_char_p]
    handle: int | None = library.ggml_backend_load(os.fsencode(file))
    return handle


def backend_function(registry: int, name: str) -> int | None:
    """Return the address of a function a backend offers beyond ggml's interface."""
    base = ctypes.CDLL(str(library_folder() / "libggml-base.so.0"))
    base.ggml_backend_reg_get_proc_address.restype = ctypes.c_void_p
    base.ggml_backend_reg_get_proc_address.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    address: int | None = base.ggml_backend_reg_get_proc_address(registry, name.encode())
    return address
