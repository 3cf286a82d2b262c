"""Operations of the expert kernels with what they must give, in float64."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from doubles import moe
from doubles.moe import Emulator, Floats, Integers, Weights, make_weights

Truth = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One expert layer and one batch. `routing`: random, one (all to one expert), none, alone."""

    kind: str
    values: int
    tokens: int
    routing: str = "random"
    experts: int = 4
    rows: int = 32
    slots: int = 2
    compute: int = 900
    seed: int = 1
    down_kind: str | None = None
    hidden: int = 48
    activation: int = moe.SWIGLU
    biased: bool = False
    shared: bool = False
    processors: int = 2

    def source(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def ids(self) -> Integers:
        """Return the experts of each token, as `routing` says."""
        source = self.source()
        ids = np.empty((self.tokens, self.slots), np.int32)
        for token in range(self.tokens):
            ids[token] = source.permutation(self.experts)[: self.slots]
        if self.routing == "one":
            ids[:] = [(1 + slot) % self.experts for slot in range(self.slots)]
        elif self.routing == "none":
            ids[:] = -1
        elif self.routing == "holes":
            ids[source.random(ids.shape) < 0.4] = self.experts + 3
        elif self.routing == "alone":
            ids[:] = -1
            if self.tokens:
                ids[-1, -1] = self.experts - 1
        return ids

    def x(self) -> Floats:
        source = np.random.default_rng(self.seed + 100)
        return source.normal(0, 1, (self.tokens, self.values)).astype(np.float32)

    def weights(self) -> Floats:
        source = np.random.default_rng(self.seed + 200)
        return source.random((self.tokens, self.slots)).astype(np.float32)


def products(weights: Weights, ids: Integers, x: Truth) -> Truth:
    """Return [token, slot, row]; zero where no expert is named. `x` is [token, slot, K]."""
    tokens, slots = ids.shape
    out = np.zeros((tokens, slots, weights.meaning.shape[1]))
    for expert in range(len(weights.meaning)):
        where = ids == expert
        out[where] = x[where] @ weights.meaning[expert].T
        if weights.bias is not None:
            out[where] += weights.bias[expert]
    return out


def activate(kind: int, gate: Truth, up: Truth, alpha: float, limit: float) -> Truth:
    """Return what ggml's GLU operations give."""
    if kind == moe.SWIGLU_OAI:
        low, bounded = np.minimum(gate, limit), np.clip(up, -limit, limit)
        return np.asarray(low / (1 + np.exp(-low * alpha)) * (1 + bounded))
    if kind == moe.SWIGLU_CLAMP:
        gate, up = np.minimum(gate, limit), np.clip(up, -limit, limit)
    if kind == moe.GEGLU:
        inner = 0.7978845608028654 * gate * (1 + 0.044715 * gate**2)
        return np.asarray(0.5 * gate * (1 + np.tanh(inner)) * up)
    return np.asarray(gate / (1 + np.exp(-gate)) * up)


ALPHA, LIMIT = 1.702, 1.5  # gpt-oss has 7; at 1.5 the clamp takes part in a test


class Layer:
    """The weights of a case, and its operations on the emulated device."""

    def __init__(self, case: Case, emulator: Emulator) -> None:
        self.case, self.emulator = case, emulator
        self.down_kind = case.down_kind or case.kind
        self.out_place = 0

    @cached_property
    def gate(self) -> Weights:
        return self._into_hidden(2)

    @cached_property
    def up(self) -> Weights:
        return self._into_hidden(3)

    def _into_hidden(self, seed: int) -> Weights:
        case = self.case
        size = (case.experts, case.rows, case.values)
        return make_weights(case.kind, *size, seed=seed, biased=case.biased)

    @cached_property
    def down(self) -> Weights:
        case = self.case
        size = (case.experts, case.hidden, case.rows)
        return make_weights(self.down_kind, *size, seed=4, biased=case.biased)

    @cached_property
    def shared_gate(self) -> Weights:
        return make_weights(self.case.kind, 1, self.case.rows, self.case.values, seed=5)

    @cached_property
    def shared_up(self) -> Weights:
        return make_weights(self.case.kind, 1, self.case.rows, self.case.values, seed=6)

    @cached_property
    def shared_down(self) -> Weights:
        return make_weights(self.down_kind, 1, self.case.hidden, self.case.rows, seed=7)

    @cached_property
    def shared_weight(self) -> Floats:
        return np.random.default_rng(8).random(self.case.tokens).astype(np.float32)

    def op(self, kind: int, x: Floats | None = None) -> moe.Op:
        """Describe one operation; its output is at `out_place`."""
        case, emulator = self.case, self.emulator
        shared = case.shared
        x = case.x() if x is None else x
        op = moe.Op(struct_bytes=ctypes.sizeof(moe.Op), kind=kind)
        if kind in (moe.GATE_UP, moe.FEED_FORWARD):
            op.gate = self.gate.matrix(emulator, self.shared_gate if shared else None)
        if kind != moe.DOWN_SUM:
            op.up = self.up.matrix(emulator, self.shared_up if shared else None)
        if kind in (moe.DOWN_SUM, moe.FEED_FORWARD):
            op.down = self.down.matrix(emulator, self.shared_down if shared else None)
        op.ids, op.ids_stride = emulator.put(case.ids()), case.slots
        op.weights, op.x, op.x_stride = emulator.put(case.weights()), emulator.put(x), x.shape[-1]
        op.x_per_pair = int(kind == moe.DOWN_SUM)
        op.tokens, op.slots = case.tokens, case.slots
        op.activation, op.alpha, op.limit = case.activation, ALPHA, LIMIT
        if shared:
            op.shared_weight = emulator.put(self.shared_weight)
        summed = kind in (moe.DOWN_SUM, moe.FEED_FORWARD)
        self.out_shape = self._out_shape(summed)
        self.out_place = op.out = emulator.room(4 * int(np.prod(self.out_shape)))
        return op

    def _out_shape(self, summed: bool) -> tuple[int, ...]:
        case = self.case
        if summed:
            return (case.tokens, case.hidden)
        return (case.tokens * (case.slots + case.shared), case.rows)

    def run(self, kind: int, x: Floats | None = None) -> Floats:
        """Run one operation and return what it gave."""
        op = self.op(kind, x)
        self.emulator.run(op, self.emulator.device(self.case.compute, self.case.processors))
        return self.emulator.get(self.out_place, self.out_shape, np.float32)  # type: ignore[return-value]

    # --- what must come out -----------------------------------------------------------------

    def _spread(self) -> Truth:
        x = self.case.x().astype(np.float64)
        return np.repeat(x[:, None], self.case.slots, axis=1)

    def up_truth(self) -> Truth:
        return products(self.up, self.case.ids(), self._spread()).reshape(-1, self.case.rows)

    def gate_up_truth(self) -> Truth:
        """Return [pairs, rows], the shared expert's behind the others; zero without expert."""
        case, ids = self.case, self.case.ids()
        gate = products(self.gate, ids, self._spread())
        up = products(self.up, ids, self._spread())
        joined = activate(case.activation, gate, up, ALPHA, LIMIT)
        joined[(ids < 0) | (ids >= case.experts)] = 0
        pairs = joined.reshape(-1, case.rows)
        if not case.shared:
            return pairs
        x = case.x().astype(np.float64)
        own_gate, own_up = (x @ each.meaning[0].T for each in (self.shared_gate, self.shared_up))
        return np.concatenate([pairs, activate(case.activation, own_gate, own_up, ALPHA, LIMIT)])

    def down_truth(self, pairs: Truth) -> Truth:
        """Return [tokens, hidden] of rows of pairs."""
        case = self.case
        regular = pairs[: case.tokens * case.slots].reshape(case.tokens, case.slots, -1)
        rows = products(self.down, case.ids(), regular)
        out = (rows * case.weights()[..., None]).sum(axis=1)
        if case.shared:
            own = pairs[case.tokens * case.slots :] @ self.shared_down.meaning[0].T
            out = out + own * self.shared_weight[:, None]
        return np.asarray(out)

    def feed_forward_truth(self) -> Truth:
        return self.down_truth(self.gate_up_truth())
