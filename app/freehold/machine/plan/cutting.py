"""Cutting a row of layers into contiguous pieces, one per GPU.

Items are a model's layers and, last, its output; `first` is the first one that is on a GPU.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import accumulate


def cut_evenly(items: Sequence[int], rooms: Sequence[int], first: int) -> tuple[int, ...] | None:
    """Return the GPU of each of `items[first:]`, or None if they do not fit.

    In proportion to the rooms where that fits, else packed one GPU after another.
    """
    wanted = items[first:]
    total, room = sum(wanted), sum(rooms)
    if total > room:
        return None
    ends = [reached / room * total if room else 0.0 for reached in accumulate(rooms)]
    goal: list[int] = []
    placed, gpu = 0, 0
    for item in wanted:
        while gpu < len(rooms) - 1 and placed + item / 2 > ends[gpu]:
            gpu += 1
        goal.append(gpu)
        placed += item
    return tuple(goal) if is_within(wanted, goal, rooms) else _pack(wanted, rooms)


def _pack(items: Sequence[int], rooms: Sequence[int]) -> tuple[int, ...] | None:
    packed: list[int] = []
    gpu, used = 0, 0
    for item in items:
        while gpu < len(rooms) and used + item > rooms[gpu]:
            gpu, used = gpu + 1, 0
        if gpu == len(rooms):
            return None
        packed.append(gpu)
        used += item
    return tuple(packed)


def is_within(items: Sequence[int], gpus: Sequence[int], rooms: Sequence[int]) -> bool:
    """Return whether no GPU has to hold more than its room."""
    used = [0] * len(rooms)
    for item, gpu in zip(items, gpus, strict=True):
        used[gpu] += item
    return all(taken <= room for taken, room in zip(used, rooms, strict=True))


def cut_by_shares(count: int, shares: Sequence[float], gpus: int) -> tuple[int, ...]:
    """Return the GPU of each of `count` items, cut as llama.cpp cuts them by `tensor_split`."""
    given = [max(0.0, float(share)) for share in shares[:gpus]]
    given += [0.0] * (gpus - len(given))
    total = sum(given)
    if total <= 0:
        given, total = [1.0] * gpus, float(gpus)
    ends = [reached / total for reached in accumulate(given)]
    return tuple(min(bisect_right(ends, item / count), gpus - 1) for item in range(count))


class ExpertCuts:
    """The best cuts of a model whose experts do not all fit: most expert bytes on the GPUs.

    What every token needs is placed for certain, then as many layers' experts as there is room
    for, the smallest first. Solved exactly for every `first`, from the last item backwards.
    """

    def __init__(self, base: Sequence[int], experts: Sequence[int], rooms: Sequence[int]) -> None:
        self._rooms = rooms
        self._count = len(base)
        self._weights = [0, *accumulate(base)]
        self._prefixes = _sorted_prefixes(experts)
        self._values: list[list[int | None]] = []
        self._ends: list[list[int]] = []
        self._solve()

    def value(self, first: int) -> int | None:
        """Return the expert bytes on GPUs when `first` is the first item there; None: no way."""
        return self._values[0][first]

    def cut(self, first: int) -> tuple[int, ...]:
        """Return the GPU of each item from `first` on."""
        found: list[int] = []
        item = first
        for gpu in range(len(self._rooms)):
            end = self._ends[gpu][item]
            found += [gpu] * (end - item)
            item = end
        return tuple(found)

    def _solve(self) -> None:
        after: list[int | None] = [None] * self._count + [0]
        for room in reversed(self._rooms):
            values: list[int | None] = list(after)
            ends = list(range(self._count + 1))
            for start in range(self._count):
                for end in range(start + 1, self._count + 1):
                    left = room - (self._weights[end] - self._weights[start])
                    if left < 0:
                        break
                    rest = after[end]
                    if rest is None:
                        continue
                    held = self._prefixes[start][end - start]
                    value = rest + held[bisect_right(held, left) - 1]
                    best = values[start]
                    if best is None or value > best:
                        values[start], ends[start] = value, end
            self._values.insert(0, values)
            self._ends.insert(0, ends)
            after = values


def _sorted_prefixes(experts: Sequence[int]) -> list[list[list[int]]]:
    """Return, for each range of items, the sums of its 0, 1, 2 … smallest experts."""
    prefixes = []
    for start in range(len(experts)):
        sizes: list[int] = []
        row = [[0]]
        for size in experts[start:]:
            if size:
                insort(sizes, size)
                row.append([0, *accumulate(sizes)])
            else:
                row.append(row[-1])
        prefixes.append(row)
    return prefixes
