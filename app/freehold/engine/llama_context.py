"""One llama.cpp context: runs the scheduler's steps and changes the KV cache."""

from __future__ import annotations

import ctypes
from typing import Any, Final

from llama_cpp import llama_cpp as native

from freehold.engine.llama import NativeModel
from freehold.engine.llama_log import NativeLog
from freehold.engine.llama_params import context_params
from freehold.engine.load_errors import explain_failure
from freehold.engine.requests import LoadOptions
from freehold.engine.steps import MemoryOp, Step
from freehold.errors import AppError

SMALLEST_CONTEXT: Final = 2048
MAX_SLOTS: Final = 250  # llama.cpp's own limit is 256

NO_ROOM: Final = 1
ABORTED: Final = 2


def slot_count(parallel: int, *, is_stateful: bool) -> int:
    """Return the sequence ids to make: those that run, and some for kept prefixes."""
    # A stateful model pays for each with memory of its own.
    spare = 2 if is_stateful else max(6, parallel)
    return min(parallel + spare, MAX_SLOTS)


class NativeContext:
    """Owns a `llama_context` and its batch; used by the decode thread alone but for `interrupt`."""

    def __init__(self, model: NativeModel, options: LoadOptions, log: NativeLog) -> None:
        """Make the KV cache, halving a context nobody asked for until it fits.

        Raises: AppError `does_not_fit`, `invalid_request`.
        """
        self._flag = (ctypes.c_uint8 * 2)()
        # ggml asks "abort?" between graph nodes, far too often for Python. strlen of the flag is
        # 1 when its first byte is set and 0 when not: a C function that does just what is wanted.
        self._ask_flag = ctypes.cast(ctypes.CDLL(None).strlen, native.ggml_abort_callback)
        self.slots = slot_count(options.parallel, is_stateful=model.is_stateful)
        cells = model.choose_context(options.context_tokens)
        while True:
            log.clear()
            params = context_params(
                options,
                context_tokens=cells,
                slots=self.slots,
                abort=self._ask_flag,
                abort_data=ctypes.addressof(self._flag),
            )
            self._handle: Any = native.llama_init_from_model(model.handle, params)
            if self._handle:
                break
            if options.context_tokens is not None or cells // 2 < SMALLEST_CONTEXT:
                raise explain_failure(log.lines())
            cells //= 2
        self.cells: int = native.llama_n_ctx(self._handle)
        self.batch_tokens: int = native.llama_n_batch(self._handle)
        self.micro_batch_tokens: int = native.llama_n_ubatch(self._handle)
        self._memory: Any = native.llama_get_memory(self._handle)
        self.threads: int = native.llama_n_threads(self._handle)
        self._make_batch(self.batch_tokens)
        self.can_trim = not model.is_stateful and self._probe_trim(model)

    @property
    def handle(self) -> int:
        """Return llama.cpp's address of the context."""
        if not self._handle:
            raise ValueError("the context is closed")
        return int(self._handle)

    def close(self) -> None:
        """Free the KV cache; may be called twice."""
        handle, self._handle = self._handle, None
        if handle:
            native.llama_free(handle)

    # --- steps

    def run(self, step: Step) -> tuple[int, list[int]]:
        """Change the memory, compute the step, and return llama_decode's status and where logits
        lie: one index per decode token, then one per prompt that is complete with this step.
        """
        for change in step.memory:
            self.change_memory(change)
        tokens, positions, slots, outputs = self._tokens, self._positions, self._slots, self._wanted
        row = 0
        for sequence in step.decode:
            tokens[row] = sequence.tokens[-1]
            positions[row] = sequence.computed
            slots[row] = sequence.slot
            outputs[row] = 1
            row += 1
        indices = list(range(row))
        for sequence, start, end in step.prefill:
            count = end - start
            past = row + count
            tokens[row:past] = sequence.tokens[start:end]
            positions[row:past] = list(range(start, end))
            slots[row:past] = [sequence.slot] * count
            ctypes.memset(ctypes.addressof(outputs) + row, 0, count)
            row = past
            if end == len(sequence.tokens):
                outputs[row - 1] = 1
                indices.append(row - 1)
        self._batch.n_tokens = row
        self._flag[0] = 0
        return native.llama_decode(self._handle, self._batch), indices

    def set_threads(self, count: int) -> None:
        """Use `count` CPU threads from the next step on."""
        if count != self.threads:
            self.threads = count
            native.llama_set_n_threads(self._handle, count, count)

    def interrupt(self) -> None:
        """Break off the step that is being computed (on the CPU; a GPU finishes it)."""
        self._flag[0] = 1

    def change_memory(self, change: MemoryOp) -> None:
        """Apply one memory change.

        Raises: AppError `internal` if llama.cpp refuses what the load-time probe allowed.
        """
        if change.kind == "share":
            native.llama_memory_seq_cp(self._memory, change.source, change.slot, 0, change.length)
        elif not native.llama_memory_seq_rm(self._memory, change.slot, change.length, -1):
            raise AppError("internal", "llama.cpp refused to give back a part of its KV cache.")

    def computed(self, slot: int) -> int:
        """Return how many positions a slot holds, after a step that was broken off."""
        return int(native.llama_memory_seq_pos_max(self._memory, slot)) + 1

    def clear(self) -> None:
        """Empty the KV cache."""
        native.llama_memory_clear(self._memory, True)

    # --- making

    def _make_batch(self, capacity: int) -> None:
        self._tokens: Any = (ctypes.c_int32 * capacity)()
        self._positions: Any = (ctypes.c_int32 * capacity)()
        self._slots: Any = (ctypes.c_int32 * capacity)()
        self._wanted: Any = (ctypes.c_int8 * capacity)()
        counts = (ctypes.c_int32 * capacity)(*([1] * capacity))
        first = ctypes.addressof(self._slots)
        pointer = ctypes.POINTER(ctypes.c_int32)
        # Row i's list of sequence ids is the one id at slots[i]; the pointers never change.
        rows = (pointer * capacity)(
            *(ctypes.cast(first + 4 * index, pointer) for index in range(capacity))
        )
        self._batch = native.llama_batch(
            n_tokens=0,
            token=self._tokens,
            embd=None,
            pos=self._positions,
            n_seq_id=counts,
            seq_id=rows,
            logits=self._wanted,
        )

    def _probe_trim(self, model: NativeModel) -> bool:
        """Compute two tokens, also as warm-up, and see whether the second can be taken back."""
        if not self._memory:
            return False
        token = next(iter(model.tokenize("a", add_special=False)), 0)
        for row in range(2):
            self._tokens[row], self._positions[row], self._slots[row] = token, row, 0
            self._wanted[row] = row
        self._batch.n_tokens = 2
        if native.llama_decode(self._handle, self._batch) != 0:
            raise AppError(
                "does_not_fit",
                "The model was loaded, but computing its first token failed.",
                "Choose a smaller context or batch size, or close other programs.",
            )
        can_trim = bool(native.llama_memory_seq_rm(self._memory, 0, 1, -1))
        self.clear()
        return can_trim
