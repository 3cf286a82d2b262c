"""Who holds which cells of the unified KV cache, and the prefixes kept after their sequence ended.

A *slot* is one of llama.cpp's sequence ids. A *cell* holds one token position and may belong to
several slots at once (after `llama_memory_seq_cp`). Cell numbers here are this table's own; only
their count has to agree with llama.cpp's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from freehold.engine.sequences import common_length


class CellTable:
    """Counts cells exactly: free, in use, and pinned by slots that are running."""

    def __init__(self, cells: int, slots: int) -> None:
        self.total = cells
        self._free = list(range(cells - 1, -1, -1))
        self._owners = [0] * cells
        self._pins = [0] * cells
        self._pinned_cells = 0
        self._slots: list[list[int]] = [[] for _ in range(slots)]
        self._is_pinned = [False] * slots

    @property
    def free(self) -> int:
        """Return how many cells nobody holds."""
        return len(self._free)

    @property
    def evictable(self) -> int:
        """Return how many cells only unpinned slots hold."""
        return self.total - len(self._free) - self._pinned_cells

    def length(self, slot: int) -> int:
        """Return how many cells a slot holds."""
        return len(self._slots[slot])

    def cells_of(self, slot: int) -> tuple[int, ...]:
        """Return a slot's cells in order of position."""
        return tuple(self._slots[slot])

    def owners_of(self, cell: int) -> int:
        """Return how many slots hold a cell."""
        return self._owners[cell]

    def unpinned_within(self, slot: int, count: int) -> int:
        """Return how many of a slot's first `count` cells no running slot holds."""
        pins = self._pins
        return sum(1 for cell in self._slots[slot][:count] if not pins[cell])

    def append(self, slot: int, count: int = 1) -> None:
        """Give a pinned slot `count` more cells, which must be free."""
        free, owners, pins, mine = self._free, self._owners, self._pins, self._slots[slot]
        assert self._is_pinned[slot]
        assert count <= len(free)
        for _ in range(count):
            cell = free.pop()
            owners[cell] = 1
            pins[cell] = 1
            mine.append(cell)
        self._pinned_cells += count

    def share(self, source: int, target: int, count: int) -> None:
        """Let an empty slot hold the first `count` cells of another one too."""
        assert not self._slots[target]
        cells = self._slots[source][:count]
        assert len(cells) == count
        self._slots[target] = cells
        for cell in cells:
            self._owners[cell] += 1
        if self._is_pinned[target]:
            self._pin_cells(cells)

    def trim(self, slot: int, keep: int) -> int:
        """Take all but a slot's first `keep` cells from it; return how many became free."""
        mine = self._slots[slot]
        gone = mine[keep:]
        del mine[keep:]
        if self._is_pinned[slot]:
            self._unpin_cells(gone)
        freed = 0
        for cell in gone:
            self._owners[cell] -= 1
            if not self._owners[cell]:
                self._free.append(cell)
                freed += 1
        return freed

    def pin(self, slot: int) -> None:
        """Mark a slot as running."""
        if not self._is_pinned[slot]:
            self._is_pinned[slot] = True
            self._pin_cells(self._slots[slot])

    def unpin(self, slot: int) -> None:
        """Mark a slot as no longer running; its cells may be evicted."""
        if self._is_pinned[slot]:
            self._is_pinned[slot] = False
            self._unpin_cells(self._slots[slot])

    def _pin_cells(self, cells: list[int]) -> None:
        for cell in cells:
            if not self._pins[cell]:
                self._pinned_cells += 1
            self._pins[cell] += 1

    def _unpin_cells(self, cells: list[int]) -> None:
        for cell in cells:
            self._pins[cell] -= 1
            if not self._pins[cell]:
                self._pinned_cells -= 1


@dataclass(slots=True)
class KeptPrefix:
    """Tokens whose cells stay after their sequence ended, for the next turn of the same owner."""

    slot: int
    key: str
    tokens: list[int]
    used_at: int


class PrefixCache:
    """Kept prefixes by slot, oldest use first."""

    def __init__(self) -> None:
        self._kept: dict[int, KeptPrefix] = {}
        self._clock = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[KeptPrefix]:
        return iter(self._kept.values())

    def keep(self, slot: int, key: str, tokens: list[int]) -> None:
        """Remember the tokens a slot holds."""
        self._kept[slot] = KeptPrefix(slot, key, tokens, self._tick())

    def touch(self, slot: int) -> None:
        """Mark a prefix as just used."""
        self._kept[slot].used_at = self._tick()

    def forget(self, slot: int) -> None:
        """Drop what is known of a slot."""
        self._kept.pop(slot, None)

    def oldest(self, *, spare: int | None = None) -> KeptPrefix | None:
        """Return the prefix unused for longest, other than that of slot `spare`."""
        candidates = (kept for kept in self._kept.values() if kept.slot != spare)
        return min(candidates, key=lambda kept: kept.used_at, default=None)

    def best(
        self, key: str, tokens: list[int], *, whole_only: bool = False
    ) -> tuple[KeptPrefix, int] | None:
        """Return the prefix of `key` that shares most leading tokens, and how many.

        whole_only: the cache cannot give back a part, so only a prefix used whole counts.
        """
        found: tuple[KeptPrefix, int] | None = None
        for kept in self._kept.values():
            if kept.key != key:
                continue
            common = common_length(kept.tokens, tokens)
            if whole_only and common < len(kept.tokens):
                continue
            if common and (found is None or common > found[1]):
                found = (kept, common)
        return found

    def covered_by(self, key: str, tokens: list[int]) -> list[int]:
        """Return the slots of `key` whose whole prefix `tokens` begins with."""
        return [
            kept.slot
            for kept in self._kept.values()
            if kept.key == key
            and len(kept.tokens) <= len(tokens)
            and tokens[: len(kept.tokens)] == kept.tokens
        ]

    def _tick(self) -> int:
        self._clock += 1
        return self._clock
