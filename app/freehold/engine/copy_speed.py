"""Say how fast ggml's devices are written to, read from and copied on: one JSON document.

`python -m freehold.engine.copy_speed [NAME …]` measures the devices named, or all that are no
processors. A GPU is written to over PCIe. A driver that aborts takes this process and no other.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from freehold.engine.ggml import Device, ggml, list_devices
from freehold.engine.native import library_folder

BYTES: Final = 128 << 20
PASSES: Final = 5
F32: Final = 0


class _InitParams(ctypes.Structure):
    _fields_ = [
        ("mem_size", ctypes.c_size_t),
        ("mem_buffer", ctypes.c_void_p),
        ("no_alloc", ctypes.c_bool),
    ]


def main() -> int:
    """Print the speeds by device; a device that cannot be measured is left out."""
    wanted = sys.argv[1:]
    found = {
        device.name: speeds
        for device in list_devices()
        if (device.name in wanted if wanted else not device.is_cpu)
        and (speeds := measure_device(device)) is not None
    }
    sys.stdout.write(json.dumps(found))
    return 0


def measure_device(device: Device, size: int = BYTES) -> dict[str, float] | None:
    """Return bytes per second by kind: `upload`, `download` and `copy`; None without memory."""
    base = _functions()
    backend = ggml().ggml_backend_dev_init(device.handle, None)
    if not backend:
        return None
    # Room for the two tensors' descriptions; their data lies on the device.
    context = base.ggml_init(_InitParams(1 << 16, None, True))
    buffer = None
    try:
        one = base.ggml_new_tensor_1d(context, F32, size // 4)
        two = base.ggml_new_tensor_1d(context, F32, size // 4)
        buffer = base.ggml_backend_alloc_ctx_tensors(context, backend)
        if not buffer:
            return None
        memory = ctypes.create_string_buffer(size)
        return {
            "upload": _rate(
                base, backend, size, lambda: base.ggml_backend_tensor_set(one, memory, 0, size)
            ),
            "download": _rate(
                base, backend, size, lambda: base.ggml_backend_tensor_get(one, memory, 0, size)
            ),
            # A copy reads and writes every byte.
            "copy": 2 * _rate(base, backend, size, lambda: base.ggml_backend_tensor_copy(one, two)),
        }
    finally:
        if buffer:
            base.ggml_backend_buffer_free(buffer)
        base.ggml_free(context)
        base.ggml_backend_free(backend)


def _rate(base: Any, backend: int, size: int, act: Callable[[], object]) -> float:
    """Return bytes per second, the best of a few passes."""
    best = 0.0
    for _ in range(PASSES):
        began = time.perf_counter()
        act()
        base.ggml_backend_synchronize(backend)
        best = max(best, size / (time.perf_counter() - began))
    return best


def _functions() -> ctypes.CDLL:
    """Return ggml's base library with the functions used here declared."""
    base = ctypes.CDLL(str(library_folder() / "libggml-base.so.0"))
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    for owner, name, result, arguments in (
        (ggml(), "ggml_backend_dev_init", pointer, [pointer, ctypes.c_char_p]),
        (base, "ggml_init", pointer, [_InitParams]),
        (base, "ggml_free", None, [pointer]),
        (base, "ggml_new_tensor_1d", pointer, [pointer, ctypes.c_int, ctypes.c_int64]),
        (base, "ggml_backend_alloc_ctx_tensors", pointer, [pointer, pointer]),
        (base, "ggml_backend_tensor_set", None, [pointer, pointer, size, size]),
        (base, "ggml_backend_tensor_get", None, [pointer, pointer, size, size]),
        (base, "ggml_backend_tensor_copy", None, [pointer, pointer]),
        (base, "ggml_backend_synchronize", None, [pointer]),
        (base, "ggml_backend_buffer_free", None, [pointer]),
        (base, "ggml_backend_free", None, [pointer]),
    ):
        try:
            function = getattr(owner, name)
        except AttributeError:
            function = getattr(base, name)
        function.restype, function.argtypes = result, arguments
        setattr(owner, name, function)
    return base


if __name__ == "__main__":
    sys.exit(main())
