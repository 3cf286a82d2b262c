"""The same tests on a real GPU: the compiled kernels with CUDA's memory, through libcudart.

`FREEHOLD_MOE_LIBRARY=…/libmoe_kernels.so pytest tests/kernels` uses it; kernels/bench/run_on_gpu.sh
does so, also under compute-sanitizer.
"""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt

from doubles.moe import ABI_VERSION, Device, Emulator, EmulatorError, Table

TO_DEVICE, TO_HOST = 1, 2
# cudaDeviceAttr
PROCESSORS, MAJOR, MINOR, SHARED_BYTES = 16, 75, 76, 97


def open_runtime() -> ctypes.CDLL:
    """Return CUDA's runtime: the system's, or that of NVIDIA's package."""
    spec = importlib.util.find_spec("nvidia")
    roots = list(spec.submodule_search_locations or ()) if spec is not None else []
    for name in ("libcudart.so.13", "libcudart.so.12", "libcudart.so"):
        for place in (*(f"{root}/cu13/lib/{name}" for root in roots), name):
            try:
                return ctypes.CDLL(place)
            except OSError:
                continue
    raise EmulatorError("CUDA's runtime library is not here")


class Gpu(Emulator):
    """The compiled kernels on GPU 0. There are no seeds and no counts."""

    is_emulated = False

    def __init__(self, library: Path) -> None:
        self._cuda = open_runtime()
        self._cuda.cudaMalloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        self._cuda.cudaFree.argtypes = [ctypes.c_void_p]
        self._cuda.cudaMemset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
        self._cuda.cudaMemcpy.argtypes = [
            ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int,
        ]  # fmt: skip
        self.library = ctypes.CDLL(str(library))
        self.library.moe_kernels_get.restype = ctypes.POINTER(Table)
        self.table = self.library.moe_kernels_get(ABI_VERSION).contents
        self._buffers = []

    def _check(self, status: int, what: str) -> None:
        if status != 0:
            raise EmulatorError(f"{what}: CUDA error {status}")

    def _attribute(self, which: int) -> int:
        value = ctypes.c_int()
        status = self._cuda.cudaDeviceGetAttribute(ctypes.byref(value), which, 0)
        self._check(status, "asking the GPU")
        return value.value

    def device(self, compute: int = 900, processors: int = 2) -> Device:
        """Return the GPU as it is, whatever the test would like."""
        found = 100 * self._attribute(MAJOR) + 10 * self._attribute(MINOR)
        shared, here = self._attribute(SHARED_BYTES), self._attribute(PROCESSORS)
        return Device(ctypes.sizeof(Device), 0, found, here, shared, None)

    def room(self, size: int) -> int:
        """Return device memory full of NaN."""
        place = ctypes.c_void_p()
        self._check(self._cuda.cudaMalloc(ctypes.byref(place), max(size, 1)), "cudaMalloc")
        self._check(self._cuda.cudaMemset(place, 0xFF, max(size, 1)), "cudaMemset")
        self._buffers.append(int(place.value or 0))
        return self._buffers[-1]

    def put(self, values: npt.NDArray[np.generic]) -> int:
        """Copy an array into the GPU's memory."""
        values = np.ascontiguousarray(values)
        place = self.room(values.nbytes)
        status = self._cuda.cudaMemcpy(place, values.ctypes.data, values.nbytes, TO_DEVICE)
        self._check(status, "copying to the GPU")
        return place

    def get(self, place: int, shape: tuple[int, ...], kind: type) -> npt.NDArray[np.generic]:
        """Copy an array out of the GPU's memory, after all kernels."""
        self._check(self._cuda.cudaDeviceSynchronize(), "the kernels")
        values = np.empty(shape, kind)
        status = self._cuda.cudaMemcpy(values.ctypes.data, place, values.nbytes, TO_HOST)
        self._check(status, "copying from the GPU")
        return values

    def release(self) -> None:
        """Give all memory back."""
        for place in self._buffers:
            self._cuda.cudaFree(place)
        self._buffers.clear()

    def seed(self, seed: int) -> None:
        """Do nothing: a GPU has its own order."""

    def counts(self) -> dict[str, int]:
        """Return nothing: a GPU does not count."""
        return {}
