"""What the scheduler decides with and decides: limits, memory changes, chunks, steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from freehold.engine.sequences import Sequence


@dataclass(frozen=True, slots=True)
class Limits:
    """What the engine has, and what its memory can do.

    can_trim: whether a part of a sequence can be taken back (false for recurrent models: a prefix
        is then reused only when the new prompt continues all of it, and never shared).
    """

    cells: int
    slots: int
    parallel: int
    batch_tokens: int
    can_trim: bool = True


class MemoryOp(NamedTuple):
    """A change to llama.cpp's memory before a step, in order.

    trim: keep the first `length` positions of `slot`. share: give `slot` the first `length`
    positions of `source`.
    """

    kind: Literal["trim", "share"]
    slot: int
    length: int
    source: int = -1


class Chunk(NamedTuple):
    """Tokens [start, end) of a prompt, computed in this step."""

    sequence: Sequence
    start: int
    end: int


@dataclass(slots=True)
class Step:
    """What to do next: memory changes, then one batch of decode tokens and prompt chunks."""

    memory: list[MemoryOp] = field(default_factory=list)
    decode: list[Sequence] = field(default_factory=list)
    prefill: list[Chunk] = field(default_factory=list)

    @property
    def token_count(self) -> int:
        """Return the tokens in the batch."""
        return len(self.decode) + sum(chunk.end - chunk.start for chunk in self.prefill)
