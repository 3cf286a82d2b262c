"""The order in which waiting requests would start, so that each can be told what is before it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import TypeVar

Waiting = TypeVar("Waiting")


def in_turn(
    waiting: Mapping[str, Iterable[Waiting]],
    running: Mapping[str, int],
    served: Mapping[str, int],
) -> list[Waiting]:
    """Return all that wait, by turns: the owner with the fewest running and least served first.

    waiting: requests of each owner, first come first.
    running: requests of each owner that hold a slot.
    served: tokens computed for each owner.
    It is the scheduler's rule as things stand; what ends or arrives meanwhile changes it.
    """
    queues = [iter(requests) for requests in waiting.values()]
    turns = [
        (running.get(owner, 0), served.get(owner, 0), index) for index, owner in enumerate(waiting)
    ]
    heapq.heapify(turns)
    order: list[Waiting] = []
    while turns:
        count, tokens, index = heapq.heappop(turns)
        request = next(queues[index], None)
        if request is not None:
            order.append(request)
            heapq.heappush(turns, (count + 1, tokens, index))
    return order
