"""The expert kernels in the emulator: their C ABI through ctypes, and ggml's own quantisation."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from doubles.models import cache_folder

KERNELS = Path(__file__).resolve().parents[2] / "kernels"
ABI_VERSION = 1
MATMUL, GATE_UP, DOWN_SUM, FEED_FORWARD = range(4)
SWIGLU, SWIGLU_OAI, GEGLU, SWIGLU_CLAMP = range(4)
SOFTMAX, SIGMOID, SOFTMAX_CHOSEN = range(3)

TYPES = {
    "Q4_0": 2, "Q8_0": 8, "Q2_K": 10, "Q3_K": 11, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14,
    "IQ2_XXS": 16, "IQ1_S": 19, "IQ4_NL": 20, "IQ4_XS": 23, "IQ1_M": 29, "MXFP4": 39,
}  # fmt: skip
SLOW = ("IQ1_S", "IQ1_M", "IQ2_XXS")  # for ggml to begin to quantise to
FULL = os.environ.get("FREEHOLD_EMULATOR") == "full"  # `make emulator`
SMALL_BLOCKS = ("Q4_0", "Q8_0", "IQ4_NL", "MXFP4")

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int32]


class Matrix(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("shared", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("type", ctypes.c_int32),
        ("experts", ctypes.c_int32),
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("row_bytes", ctypes.c_int64),
        ("expert_bytes", ctypes.c_int64),
    )


class Op(ctypes.Structure):
    _fields_ = (
        ("struct_bytes", ctypes.c_uint32),
        ("kind", ctypes.c_int32),
        ("gate", Matrix),
        ("up", Matrix),
        ("down", Matrix),
        ("ids", ctypes.c_void_p),
        ("ids_stride", ctypes.c_int64),
        ("weights", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
        ("x_stride", ctypes.c_int64),
        ("out", ctypes.c_void_p),
        ("shared_weight", ctypes.c_void_p),
        ("tokens", ctypes.c_int32),
        ("slots", ctypes.c_int32),
        ("x_per_pair", ctypes.c_int32),
        ("activation", ctypes.c_int32),
        ("alpha", ctypes.c_float),
        ("limit", ctypes.c_float),
    )


class Router(ctypes.Structure):
    _fields_ = (
        ("struct_bytes", ctypes.c_uint32),
        ("scoring", ctypes.c_int32),
        ("logits", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("ids", ctypes.c_void_p),
        ("ids_stride", ctypes.c_int64),
        ("weights", ctypes.c_void_p),
        ("tokens", ctypes.c_int32),
        ("experts", ctypes.c_int32),
        ("slots", ctypes.c_int32),
        ("groups", ctypes.c_int32),
        ("groups_used", ctypes.c_int32),
        ("normalise", ctypes.c_int32),
        ("smallest_sum", ctypes.c_float),
        ("scale", ctypes.c_float),
    )


class Device(ctypes.Structure):
    _fields_ = (
        ("struct_bytes", ctypes.c_uint32),
        ("index", ctypes.c_int32),
        ("compute", ctypes.c_int32),
        ("processors", ctypes.c_int32),
        ("shared_bytes", ctypes.c_int32),
        ("stream", ctypes.c_void_p),
    )


class Plan(ctypes.Structure):
    _fields_ = (
        ("tile_count", ctypes.c_void_p),
        ("tiles", ctypes.c_void_p),
        ("order", ctypes.c_void_p),
        ("bounds", ctypes.c_void_p),
        ("tile_limit", ctypes.c_int32),
        ("pairs", ctypes.c_int32),
        ("bytes", ctypes.c_size_t),
    )


_OP, _ROUTER, _DEVICE = (ctypes.POINTER(kind) for kind in (Op, Router, Device))
_FUNCTIONS = (
    ("supports", ctypes.CFUNCTYPE(ctypes.c_char_p, _OP, _DEVICE)),
    ("scratch_bytes", ctypes.CFUNCTYPE(ctypes.c_size_t, _OP, _DEVICE)),
    ("run", ctypes.CFUNCTYPE(ctypes.c_int, _OP, _DEVICE, ctypes.c_void_p, ctypes.c_size_t)),
    ("router_supports", ctypes.CFUNCTYPE(ctypes.c_char_p, _ROUTER, _DEVICE)),
    ("run_router", ctypes.CFUNCTYPE(ctypes.c_int, _ROUTER, _DEVICE)),
    ("plan_layout", ctypes.CFUNCTYPE(Plan, ctypes.c_void_p, *[ctypes.c_int32] * 5)),
    (
        "run_plan",
        ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(Plan), ctypes.c_void_p, ctypes.c_int64,
            *[ctypes.c_int32] * 5, _DEVICE,
        ),
    ),
    ("set_enabled", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p)),
    ("generation", ctypes.CFUNCTYPE(ctypes.c_uint64)),
    ("kernel_count", ctypes.CFUNCTYPE(ctypes.c_int32)),
    ("kernel_name", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_int32)),
    ("kernel_enabled", ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)),
    ("last_error", ctypes.CFUNCTYPE(ctypes.c_char_p)),
)  # fmt: skip


class Table(ctypes.Structure):
    _fields_ = (
        ("abi_version", ctypes.c_uint32),
        ("struct_bytes", ctypes.c_uint32),
        ("version", ctypes.c_char_p),
        ("build", ctypes.c_char_p),
        *_FUNCTIONS,
    )


def sources_digest() -> str:
    """Return a digest of all sources of the kernels and the emulator."""
    digest = hashlib.sha256()
    files = [KERNELS / "Makefile"]
    for folder in ("moe", "emulator"):
        files += [path for path in (KERNELS / folder).rglob("*") if path.is_file()]
    for path in sorted(files):
        digest.update(str(path.relative_to(KERNELS)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


@functools.cache
def emulated_library() -> Path:
    """Return the kernels built for the CPU; compiled once per content, then kept in the cache."""
    folder = cache_folder().parent / "moe" / sources_digest()
    library = folder / "libmoe_emulated.so"
    if not library.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        jobs = str(os.cpu_count() or 1)
        command = ["make", "-s", "-C", str(KERNELS), f"-j{jobs}", f"BUILD={folder}", "emulator"]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    return library


class EmulatorError(Exception):
    """What the emulator or the kernels said."""


class Emulator:
    """The kernels' table, and the emulated device's memory as long as this object lives."""

    is_emulated = True

    def __init__(self) -> None:
        library = ctypes.CDLL(str(emulated_library()))
        library.moe_kernels_get.restype = ctypes.POINTER(Table)
        library.emulator_allocate.restype = ctypes.c_void_p
        library.emulator_allocate.argtypes = [ctypes.c_size_t]
        library.emulator_release.argtypes = [ctypes.c_void_p]
        library.emulator_seed.argtypes = [ctypes.c_uint64]
        library.emulator_counts.argtypes = [ctypes.POINTER(ctypes.c_uint64)]
        self.library = library
        self.table: Table = library.moe_kernels_get(ABI_VERSION).contents
        self._buffers: list[int] = []

    def device(self, compute: int = 900, processors: int = 2) -> Device:
        """Return a device: an H100's shared memory for 900, an A100's for 800."""
        shared = 227 * 1024 if compute >= 900 else 163 * 1024
        return Device(ctypes.sizeof(Device), 0, compute, processors, shared, None)

    def put(self, values: npt.NDArray[np.generic]) -> int:
        """Copy an array into the device's memory; the byte behind it cannot be touched."""
        values = np.ascontiguousarray(values)
        place = self.room(values.nbytes)
        ctypes.memmove(place, values.ctypes.data, values.nbytes)
        return place

    def room(self, size: int) -> int:
        """Return device memory full of NaN."""
        place = int(self.library.emulator_allocate(max(size, 1)))
        self._buffers.append(place)
        return place

    def get(self, place: int, shape: tuple[int, ...], kind: type) -> npt.NDArray[np.generic]:
        """Copy an array out of the device's memory."""
        values = np.empty(shape, kind)
        ctypes.memmove(values.ctypes.data, place, values.nbytes)
        return values

    def release(self) -> None:
        """Give all memory back."""
        for place in self._buffers:
            self.library.emulator_release(place)
        self._buffers.clear()

    def seed(self, seed: int) -> None:
        """Choose the order in which warps run, blocks start and copies land."""
        self.library.emulator_seed(seed)

    def counts(self) -> dict[str, int]:
        """Return what happened since the last call of this method."""
        values = (ctypes.c_uint64 * 6)()
        self.library.emulator_counts(values)
        self.library.emulator_reset_counts()
        names = ("launches", "blocks", "copied_bytes", "copies", "multiplications", "turns")
        return dict(zip(names, (int(value) for value in values), strict=True))

    def run(self, op: Op, device: Device) -> None:
        """Run an operation; what goes wrong is an EmulatorError."""
        reason = self.table.supports(op, device)
        if reason is not None:
            raise EmulatorError(reason.decode())
        need = self.table.scratch_bytes(op, device)
        scratch = self.room(need)
        if self.table.run(op, device, scratch, need) != 0:
            raise EmulatorError(self.table.last_error().decode())


# --- ggml's own quantisation -----------------------------------------------------------------


@functools.cache
def _ggml() -> ctypes.CDLL:
    import llama_cpp

    base = Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"
    library = ctypes.CDLL(str(base))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p,
    ]  # fmt: skip
    library.ggml_row_size.restype = ctypes.c_size_t
    library.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
    return library


def quantise(kind: str, weights: Floats) -> Bytes:
    """Return rows of ggml's blocks of `weights` [rows, K]."""
    rows, values = weights.shape
    weights = np.ascontiguousarray(weights, np.float32)
    row_bytes = int(_ggml().ggml_row_size(TYPES[kind], values))
    blocks = np.zeros((rows, row_bytes), np.uint8)
    importance = np.ones(values, np.float32)
    written = _ggml().ggml_quantize_chunk(
        TYPES[kind], weights.ctypes.data, blocks.ctypes.data, 0, rows, values,
        importance.ctypes.data,
    )  # fmt: skip
    assert written == blocks.nbytes
    return blocks


def dequantise(kind: str, blocks: Bytes, values: int) -> npt.NDArray[np.float64]:
    """Return what ggml says the blocks mean."""
    name = kind.lower().replace("_k", "_K")
    function = getattr(_ggml(), f"dequantize_row_{name}")
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    out = np.empty((len(blocks), values), np.float32)
    for row, block in enumerate(np.ascontiguousarray(blocks)):
        function(block.ctypes.data, out[row].ctypes.data, values)
    return out.astype(np.float64)


@dataclass
class Weights:
    """One matrix per expert: as blocks in the device's memory, and as what they mean."""

    kind: str
    blocks: Bytes  # [experts, rows, row_bytes]
    meaning: npt.NDArray[np.float64] = field(repr=False)  # [experts, rows, K]
    bias: Floats | None = None

    def matrix(self, emulator: Emulator, shared: Weights | None = None) -> Matrix:
        """Put the blocks into the device's memory and describe them."""
        experts, rows, row_bytes = self.blocks.shape
        return Matrix(
            data=emulator.put(self.blocks),
            shared=None if shared is None else emulator.put(shared.blocks),
            bias=None if self.bias is None else emulator.put(self.bias),
            type=TYPES[self.kind],
            experts=experts,
            rows=rows,
            columns=self.meaning.shape[2],
            row_bytes=row_bytes,
            expert_bytes=rows * row_bytes,
        )


def random_blocks(kind: str, rows: int, values: int, source: np.random.Generator) -> Bytes:
    """Return blocks of random bits with sane scales: every code a type has, and no search.

    ggml needs ten seconds to prepare its tables for the types of one and two bits.
    """
    row_bytes = int(_ggml().ggml_row_size(TYPES[kind], values))
    blocks = source.integers(0, 256, (rows * values // 256, row_bytes * 256 // values), np.uint8)
    factors = (source.uniform(0.5, 1, len(blocks)) * values**-0.5 / 8).astype(np.float16)
    bits = factors.view(np.uint16)
    if kind == "IQ1_M":  # four bits of the factor at the top of each of four words
        for word in range(4):
            top = blocks[:, 49 + 2 * word]
            blocks[:, 49 + 2 * word] = (top & 15) | (bits >> (4 * word) & 15) << 4
    else:
        blocks[:, :2] = bits.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, row_bytes)


@functools.cache
def make_weights(
    kind: str, experts: int, rows: int, values: int, seed: int = 1, biased: bool = False
) -> Weights:
    """Return random weights of the size a model's have."""
    source = np.random.default_rng(seed)
    plain = source.normal(0, values**-0.5, (experts * rows, values)).astype(np.float32)
    if kind in SLOW and not FULL:
        blocks = random_blocks(kind, len(plain), values, source)
    else:
        blocks = quantise(kind, plain)
    meaning = dequantise(kind, blocks, values)
    bias = source.normal(0, 0.3, (experts, rows)).astype(np.float32) if biased else None
    return Weights(
        kind, blocks.reshape(experts, rows, -1), meaning.reshape(experts, rows, values), bias
    )


def normalised_error(found: npt.NDArray[np.generic], truth: npt.NDArray[np.generic]) -> float:
    """Return the mean squared error over the mean square: ggml's NMSE."""
    wanted = truth.astype(np.float64)
    return float(((found.astype(np.float64) - wanted) ** 2).sum() / (wanted**2).sum())
