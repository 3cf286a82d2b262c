"""Say what the native libraries are, as one JSON document: `python -m freehold.engine.probe`.

`freehold doctor` runs it as a child process, so that a library that does not load, or a driver
that aborts, takes nothing else with it.
"""

from __future__ import annotations

import ctypes
import json
import sys
from dataclasses import asdict
from typing import Any

from freehold.engine.gpu_pack import load_pack
from freehold.engine.native import chat_library, library_folder
from freehold.errors import AppError

DEVICE_KINDS = ("CPU", "GPU", "integrated GPU", "accelerator")


def main() -> int:
    """Print the libraries' versions and the devices llama.cpp sees; return the exit status."""
    report: dict[str, object] = {}
    try:
        library = ctypes.CDLL(str(library_folder() / "libllama.so"))
        report["folder"] = str(library_folder())
        report["system"] = _text(library.llama_print_system_info)
        report["pack"] = asdict(load_pack())
        report["devices"] = list_devices(library)
        report["chat_abi"] = int(chat_library().fh_abi_version())
    except AppError as error:
        report["error"] = error.message
    except (OSError, AttributeError) as error:
        report["error"] = str(error)
    sys.stdout.write(json.dumps(report))
    return 1 if "error" in report else 0


def list_devices(library: ctypes.CDLL) -> list[dict[str, object]]:
    """Return the devices of ggml's registry, reached through the libggml that libllama linked."""
    library.ggml_backend_dev_count.restype = ctypes.c_size_t
    library.ggml_backend_dev_get.restype = ctypes.c_void_p
    library.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    library.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    size = ctypes.POINTER(ctypes.c_size_t)
    library.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, size, size]
    devices: list[dict[str, object]] = []
    for index in range(library.ggml_backend_dev_count()):
        device = library.ggml_backend_dev_get(index)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        library.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        kind = int(library.ggml_backend_dev_type(device))
        devices.append(
            {
                "name": _text(library.ggml_backend_dev_name, device),
                "description": _text(library.ggml_backend_dev_description, device),
                "kind": DEVICE_KINDS[kind] if kind < len(DEVICE_KINDS) else "other",
                "free_bytes": free.value,
                "total_bytes": total.value,
                "pci": _pci_id(library, device),
            }
        )
    return devices


class _Props(ctypes.Structure):
    # What follows the id is of no use here; the space is for it and what may come.
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("rest", ctypes.c_char * 256),
    ]


def _pci_id(library: ctypes.CDLL, device: int) -> str:
    """Return a device's PCI id as `0000:01:00.0`, "" where it has none."""
    props = _Props()
    library.ggml_backend_dev_get_props.restype = None
    library.ggml_backend_dev_get_props.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Props)]
    library.ggml_backend_dev_get_props(device, ctypes.byref(props))
    return (props.device_id or b"").decode(errors="replace")


def _text(function: Any, *arguments: int) -> str:
    function.restype = ctypes.c_char_p
    function.argtypes = [ctypes.c_void_p] * len(arguments)
    return (function(*arguments) or b"").decode(errors="replace").strip()


if __name__ == "__main__":
    sys.exit(main())
