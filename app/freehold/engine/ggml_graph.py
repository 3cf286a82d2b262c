"""Small ggml graphs on one device, through ggml's C interface: enough to measure expert layers."""

from __future__ import annotations

import ctypes
from functools import cache
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from freehold.engine.ggml import ggml
from freehold.engine.native import library_folder

F32, I32 = 0, 26
SWIGLU, SWIGLU_OAI = "swiglu", "swiglu_oai"
GRAPH_NODES: Final = 4096

Tensor = int
_POINTER, _INT, _LONG, _FLOAT, _SIZE = (
    ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_float, ctypes.c_size_t,
)  # fmt: skip


class _InitParams(ctypes.Structure):
    _fields_ = (("mem_size", _SIZE), ("mem_buffer", _POINTER), ("no_alloc", ctypes.c_bool))


_SIGNATURES: Final[dict[str, tuple[Any, list[Any]]]] = {
    "ggml_init": (_POINTER, [_InitParams]),
    "ggml_free": (None, [_POINTER]),
    "ggml_tensor_overhead": (_SIZE, []),
    "ggml_graph_overhead_custom": (_SIZE, [_SIZE, ctypes.c_bool]),
    "ggml_new_graph_custom": (_POINTER, [_POINTER, _SIZE, ctypes.c_bool]),
    "ggml_build_forward_expand": (None, [_POINTER, _POINTER]),
    "ggml_new_tensor_3d": (_POINTER, [_POINTER, _INT, _LONG, _LONG, _LONG]),
    "ggml_nbytes": (_SIZE, [_POINTER]),
    "ggml_row_size": (_SIZE, [_INT, _LONG]),
    "ggml_mul_mat_id": (_POINTER, [_POINTER] * 4),
    "ggml_add_id": (_POINTER, [_POINTER] * 4),
    "ggml_swiglu_split": (_POINTER, [_POINTER] * 3),
    "ggml_swiglu_oai": (_POINTER, [*[_POINTER] * 3, _FLOAT, _FLOAT]),
    "ggml_mul": (_POINTER, [_POINTER] * 3),
    "ggml_add": (_POINTER, [_POINTER] * 3),
    "ggml_cpy": (_POINTER, [_POINTER] * 3),
    "ggml_view_2d": (_POINTER, [_POINTER, _POINTER, _LONG, _LONG, _SIZE, _SIZE]),
    "ggml_backend_dev_init": (_POINTER, [_POINTER, ctypes.c_char_p]),
    "ggml_backend_dev_memory": (None, [_POINTER, _POINTER, _POINTER]),
    "ggml_backend_free": (None, [_POINTER]),
    "ggml_backend_alloc_ctx_tensors": (_POINTER, [_POINTER, _POINTER]),
    "ggml_backend_buffer_free": (None, [_POINTER]),
    "ggml_backend_tensor_set": (None, [_POINTER, _POINTER, _SIZE, _SIZE]),
    "ggml_backend_tensor_get": (None, [_POINTER, _POINTER, _SIZE, _SIZE]),
    "ggml_backend_graph_compute": (_INT, [_POINTER, _POINTER]),
    "ggml_backend_synchronize": (None, [_POINTER]),
    "ggml_quantize_chunk": (_SIZE, [_INT, _POINTER, _POINTER, *[_LONG] * 3, _POINTER]),
}


@cache
def _library() -> ctypes.CDLL:
    ggml()
    library = ctypes.CDLL(str(library_folder() / "libggml-base.so.0"))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def row_bytes(kind: int, values: int) -> int:
    """Return the bytes of a row of `values` of one of ggml's types."""
    return int(_library().ggml_row_size(kind, values))


def quantise(kind: int, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return ggml's blocks of rows of numbers."""
    count, values = rows.shape
    rows = np.ascontiguousarray(rows)
    blocks = np.zeros((count, row_bytes(kind, values)), np.uint8)
    importance = np.ones(values, np.float32)
    _library().ggml_quantize_chunk(
        kind, rows.ctypes.data, blocks.ctypes.data, 0, count, values, importance.ctypes.data
    )
    return blocks


def memory_of(device: int) -> tuple[int, int]:
    """Return a device's free and total bytes."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _library().ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
    return free.value, total.value


class Graph:
    """Tensors and a graph on one device: declare them, `allocate`, then compute."""

    def __init__(self, device: int) -> None:
        self._c = _library()
        self._backend = self._c.ggml_backend_dev_init(device, None)
        if not self._backend:
            raise RuntimeError("ggml cannot use this device")
        size = GRAPH_NODES * self._c.ggml_tensor_overhead()
        size += self._c.ggml_graph_overhead_custom(GRAPH_NODES, False)
        self.context = self._c.ggml_init(_InitParams(size, None, True))
        self.graph = self._c.ggml_new_graph_custom(self.context, GRAPH_NODES, False)
        self._buffer: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._buffer:
            self._c.ggml_backend_buffer_free(self._buffer)
        self._c.ggml_free(self.context)
        self._c.ggml_backend_free(self._backend)

    def tensor(self, kind: int, a: int, b: int = 1, c: int = 1) -> Tensor:
        """Declare a tensor; `a` is the length of a row."""
        return int(self._c.ggml_new_tensor_3d(self.context, kind, a, b, c))

    def apply(self, name: str, *arguments: object) -> Tensor:
        """Declare an operation: ggml_NAME(context, arguments…)."""
        return int(getattr(self._c, f"ggml_{name}")(self.context, *arguments))

    def expand(self, tensor: Tensor) -> None:
        """Put a tensor and what it is computed from into the graph."""
        self._c.ggml_build_forward_expand(self.graph, tensor)

    def allocate(self) -> None:
        """Give every tensor memory on the device.

        Raises: MemoryError: there is not enough.
        """
        self._buffer = self._c.ggml_backend_alloc_ctx_tensors(self.context, self._backend)
        if not self._buffer:
            raise MemoryError("the device has too little memory for this case")

    def write(self, tensor: Tensor, values: npt.NDArray[Any], offset: int = 0) -> None:
        """Copy values into a tensor, from byte `offset` on."""
        values = np.ascontiguousarray(values)
        self._c.ggml_backend_tensor_set(tensor, values.ctypes.data, offset, values.nbytes)

    def read(self, tensor: Tensor) -> npt.NDArray[np.float32]:
        """Return a tensor of floats, flat."""
        values = np.empty(self._c.ggml_nbytes(tensor) // 4, np.float32)
        self._c.ggml_backend_tensor_get(tensor, values.ctypes.data, 0, values.nbytes)
        return values

    def compute(self) -> None:
        """Compute the graph and wait for it."""
        if self._c.ggml_backend_graph_compute(self._backend, self.graph) != 0:
            raise RuntimeError("the device did not compute the graph")
        self._c.ggml_backend_synchronize(self._backend)
