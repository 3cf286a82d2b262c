"""Measure expert layers on a device: llama.cpp's own kernels and Freehold's, by turns.

Each evaluation reads weights many times the size of the GPU's cache, with experts drawn anew; both
kinds of kernels see the same ones in the same process.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from freehold.engine.ggml_graph import F32, I32, Graph, Tensor, memory_of, quantise, row_bytes

TYPES: Final = {
    "Q4_0": 2, "Q8_0": 8, "Q2_K": 10, "Q3_K": 11, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14,
    "IQ2_XXS": 16, "IQ1_S": 19, "IQ4_NL": 20, "IQ4_XS": 23, "IQ1_M": 29, "MXFP4": 39,
}  # fmt: skip
# Read per evaluation, at least: several times the largest L2 cache (60 MB on an H200).
BYTES_PER_EVALUATION: Final = 256 * 2**20
MOST_LAYERS: Final = 16
COPY_BYTES: Final = 2**30
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Shape:
    """The expert layer of a model."""

    model: str
    hidden: int
    inner: int
    experts: int
    slots: int
    oai: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    shape: Shape
    kind: str
    down_kind: str
    tokens: int

    @property
    def name(self) -> str:
        mixed = self.kind if self.kind == self.down_kind else f"{self.kind}/{self.down_kind}"
        return f"{self.shape.model} {mixed}, {self.tokens} tokens"

    def expert_bytes(self) -> int:
        """Return the bytes of one expert's three matrices."""
        shape = self.shape
        up = 2 * shape.inner * row_bytes(TYPES[self.kind], shape.hidden)
        return up + shape.hidden * row_bytes(TYPES[self.down_kind], shape.inner)


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of a case. All times are medians.

    bytes_read: weights of the distinct experts of one layer, on average.
    error: normalised mean squared difference between the two results.
    """

    case: str
    layers: int
    bytes_read: int
    stock_us: float
    ours_us: float
    copy_share: float
    error: float

    @property
    def ratio(self) -> float:
        return self.stock_us / self.ours_us

    def to_dict(self) -> dict[str, object]:
        gb_per_s = {
            "stock_gb_per_s": self.bytes_read / self.stock_us / 1e3,
            "ours_gb_per_s": self.bytes_read / self.ours_us / 1e3,
        }
        return {**asdict(self), **gb_per_s, "ratio": self.ratio}

    def to_line(self) -> str:
        speed = self.bytes_read / self.ours_us / 1e3
        return (
            f"{self.case:42} {self.stock_us:10.1f} {self.ours_us:10.1f} {speed:8.0f} "
            f"{self.copy_share:7.0%} {self.ratio:7.2f} {self.error:10.1e}"
        )


HEADER: Final = (
    f"{'case':42} {'stock µs':>10} {'ours µs':>10} {'GB/s':>8} {'of copy':>7} {'ratio':>7} "
    f"{'difference':>10}   (per layer, medians)"
)

KIMI = Shape("Kimi K2", 7168, 2048, 384, 8)
GPT_OSS = Shape("gpt-oss-120b", 2880, 2880, 128, 4, oai=True)
QWEN = Shape("Qwen3-30B-A3B", 2048, 768, 128, 8)
GLM = Shape("GLM-4.5-Air", 4096, 1408, 128, 8)
TOKENS: Final = (1, 4, 8, 16, 64, 512)
_MIXES: Final = (
    (KIMI, "Q4_K", "Q4_K"),
    (KIMI, "Q2_K", "Q2_K"),
    (KIMI, "IQ2_XXS", "IQ2_XXS"),
    (KIMI, "IQ1_S", "IQ1_S"),
    (GPT_OSS, "MXFP4", "MXFP4"),
    (QWEN, "Q4_K", "Q4_K"),
    (QWEN, "Q4_K", "Q6_K"),
    (QWEN, "Q8_0", "Q8_0"),
    (QWEN, "Q3_K", "Q3_K"),
    (GLM, "Q4_K", "Q8_0"),
)
CASES: Final = tuple(Case(*mix, tokens) for mix in _MIXES for tokens in TOKENS)


def layers_for(case: Case, free_bytes: int) -> int:
    """Return how many layers of weights an evaluation reads; 0 if not even one fits."""
    read = case.expert_bytes() * min(case.shape.experts, case.tokens * case.shape.slots)
    fit = int(free_bytes * 0.85) // (case.expert_bytes() * case.shape.experts)
    return min(max(2, -(-BYTES_PER_EVALUATION // read)), MOST_LAYERS, fit)


class Layers:
    """The graph of a case: several expert layers beside one another."""

    def __init__(self, case: Case, device: int, layers: int, seed: int = 1) -> None:
        self.case, self.graph = case, Graph(device)
        self._source = np.random.default_rng(seed)
        shape = case.shape
        self._x = self.graph.tensor(F32, shape.hidden, 1, case.tokens)
        self._weights = self.graph.tensor(F32, 1, shape.slots, case.tokens)
        self._ids: list[Tensor] = []
        self._matrices: list[tuple[Tensor, str, int, int]] = []
        self._biases: list[tuple[Tensor, int]] = []
        self.outs: list[Tensor] = []
        for _ in range(layers):
            self._add_layer()
        self.graph.allocate()
        self._fill()

    def _product(self, kind: str, columns: int, rows: int, x: Tensor, ids: Tensor) -> Tensor:
        graph, shape = self.graph, self.case.shape
        matrix = graph.tensor(TYPES[kind], columns, rows, shape.experts)
        self._matrices.append((matrix, kind, columns, rows))
        out = graph.apply("mul_mat_id", matrix, x, ids)
        if shape.oai:
            bias = graph.tensor(F32, rows, shape.experts)
            self._biases.append((bias, rows * shape.experts))
            out = graph.apply("add_id", out, bias, ids)
        return out

    def _add_layer(self) -> None:
        graph, shape, case = self.graph, self.case.shape, self.case
        ids = graph.tensor(I32, shape.slots, case.tokens)
        self._ids.append(ids)
        up = self._product(case.kind, shape.hidden, shape.inner, self._x, ids)
        gate = self._product(case.kind, shape.hidden, shape.inner, self._x, ids)
        if shape.oai:
            joined = graph.apply("swiglu_oai", gate, up, 1.702, 7.0)
        else:
            joined = graph.apply("swiglu_split", gate, up)
        down = self._product(case.down_kind, shape.inner, shape.hidden, joined, ids)
        weighed = graph.apply("mul", down, self._weights)
        graph.expand(weighed)
        row, token = 4 * shape.hidden, 4 * shape.hidden * shape.slots
        views = [
            graph.apply("view_2d", weighed, shape.hidden, case.tokens, token, slot * row)
            for slot in range(shape.slots)
        ]
        for view in views:
            graph.expand(view)
        out = views[0]
        for view in views[1:]:
            out = graph.apply("add", out, view)
        graph.expand(out)
        self.outs.append(out)

    def _fill(self) -> None:
        graph, shape, case = self.graph, self.case.shape, self.case
        graph.write(self._x, self._normal(shape.hidden * case.tokens))
        graph.write(self._weights, self._source.random(shape.slots * case.tokens, np.float32))
        for bias, count in self._biases:
            graph.write(bias, self._normal(count) * np.float32(0.1))
        samples: dict[tuple[str, int, int], npt.NDArray[np.uint8]] = {}
        for matrix, kind, columns, rows in self._matrices:
            if (kind, columns, rows) not in samples:
                # Few rows are quantised; what an expert holds does not change its speed.
                some = self._normal(64 * columns).reshape(64, columns) * np.float32(columns**-0.5)
                blocks = quantise(TYPES[kind], some)
                samples[kind, columns, rows] = np.resize(blocks, (rows, blocks.shape[1]))
            expert = samples[kind, columns, rows]
            for index in range(shape.experts):
                graph.write(matrix, np.roll(expert, index, axis=0), index * expert.nbytes)

    def _normal(self, count: int) -> npt.NDArray[np.float32]:
        return self._source.standard_normal(count, np.float32)

    def draw_experts(self) -> float:
        """Choose other experts in every layer; return how many distinct ones a layer has."""
        shape, distinct = self.case.shape, 0
        for ids in self._ids:
            drawn = np.stack([
                self._source.choice(shape.experts, shape.slots, replace=False)
                for _ in range(self.case.tokens)
            ]).astype(np.int32)  # fmt: skip
            self.graph.write(ids, drawn)
            distinct += len(np.unique(drawn))
        return distinct / len(self._ids)

    def results(self) -> npt.NDArray[np.float32]:
        """Return what all layers gave."""
        return np.concatenate([self.graph.read(out) for out in self.outs])


def time_evaluations(graph: Graph, count: int) -> list[float]:
    """Return seconds of each evaluation; two before them are not counted (graph capture)."""
    for _ in range(2):
        graph.compute()
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        graph.compute()
        times.append(time.perf_counter() - begin)
    return times


def measure_copy(device: int, rounds: int = 20, size: int = COPY_BYTES) -> float:
    """Return bytes/s a copy inside the device's memory moves, read and written counted."""
    with Graph(device) as graph:
        source, target = (graph.tensor(F32, size // 4) for _ in range(2))
        graph.expand(graph.apply("cpy", source, target))
        graph.allocate()
        return 2 * size / statistics.median(time_evaluations(graph, rounds))


def measure_case(
    case: Case, device: int, switch: Callable[[bool], None], copy_bytes_per_s: float, rounds: int
) -> Row | None:
    """Measure one case, both kinds of kernels by turns; None if it does not fit into memory."""
    count = layers_for(case, memory_of(device)[0])
    if count < 1:
        return None
    layers = Layers(case, device, count)
    with layers.graph as graph:
        times: dict[bool, list[float]] = {False: [], True: []}
        distinct, error = [], 0.0
        for number in range(rounds):
            distinct.append(layers.draw_experts())
            results = {}
            for ours in (False, True) if number % 2 == 0 else (True, False):
                switch(ours)
                times[ours] += time_evaluations(graph, 5)
                results[ours] = layers.results().astype(np.float64)
            gap = ((results[True] - results[False]) ** 2).sum()
            error = max(error, float(gap / (results[False] ** 2).sum()))
    read = int(statistics.mean(distinct) * case.expert_bytes())
    stock_s, ours_s = (statistics.median(times[key]) / count for key in (False, True))
    share = read / ours_s / copy_bytes_per_s
    return Row(case.name, count, read, stock_s * 1e6, ours_s * 1e6, share, error)


def measure_cases(
    cases: Sequence[Case], device: int, switch: Callable[[bool], None], rounds: int, tell: Tell
) -> Iterator[Row]:
    """Measure cases one after the other, after the speed of a copy."""
    copy = measure_copy(device)
    tell(f"A copy inside the device's memory moves {copy / 1e9:.0f} GB/s (measured).")
    tell(HEADER)
    for case in cases:
        try:
            row = measure_case(case, device, switch, copy, rounds)
        except MemoryError:
            row = None
        if row is None:
            tell(f"{case.name:42} does not fit into the device's memory")
            continue
        tell(row.to_line())
        yield row
