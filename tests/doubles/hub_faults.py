"""What can go wrong between a hub and its client, switched on by a test.

hub.faults.add("cut", after=100_000)               # the next download ends early
hub.faults.add("rate_limit", times=2, host="hub")  # the next two answers are 429
hub.faults.mix(random.Random(7), 50)               # fifty faults of all kinds, as they come
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal[
    "cut",  # the line breaks after `after` bytes
    "stall",  # nothing comes any more after `after` bytes
    "slow",  # `rate` bytes a second
    "whole",  # 200 with the whole file instead of 206
    "wrong_range",  # another Content-Range than asked for
    "short",  # a Content-Length shorter than the range
    "flip",  # one bit is another one, `after` bytes into the body
    "etag",  # another ETag: the file on the hub is a new one
    "rate_limit",  # 429 with Retry-After: `retry_after`
    "server_error",  # 503
    "expired",  # the signed address is no longer valid
    "captive",  # a hotel's HTML page with status 200
    "refuse",  # the connection is closed without a word
    "leak",  # a redirect to a foreign host
]
MIXED: Final[tuple[Kind, ...]] = (
    "cut", "cut", "cut", "stall", "whole", "wrong_range", "short", "flip", "rate_limit",
    "server_error", "expired", "captive", "refuse",
)  # fmt: skip


@dataclass(slots=True)
class Fault:
    """One fault, for the next `times` requests that match."""

    kind: Kind
    after: int = 0
    rate: int = 0
    times: int = 1
    path: str = ""
    host: Literal["hub", "cdn", ""] = "cdn"
    retry_after: str = "0"


class Faults:
    """The faults that are waiting, and those that happened."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: list[Fault] = []
        self._mix: tuple[random.Random, int] | None = None
        self._kinds: tuple[Kind, ...] = MIXED
        self._every = 1.0
        self.happened: list[Fault] = []

    def add(self, kind: Kind, **values: object) -> None:
        """Let `kind` happen to the next matching request."""
        with self._guard:
            self._waiting.append(Fault(kind, **values))  # type: ignore[arg-type]

    def mix(
        self,
        dice: random.Random,
        count: int,
        kinds: tuple[Kind, ...] = MIXED,
        *,
        share: float = 1.0,
    ) -> None:
        """Let `count` faults happen, a random one to `share` of the downloads."""
        with self._guard:
            self._mix, self._kinds, self._every = (dice, count), kinds, share

    def clear(self) -> None:
        """Let nothing more happen."""
        with self._guard:
            self._waiting.clear()
            self._mix = None

    @property
    def left(self) -> int:
        """Return how many faults have not happened yet."""
        with self._guard:
            return sum(f.times for f in self._waiting) + (self._mix[1] if self._mix else 0)

    def take(self, host: str, path: str, length: int) -> Fault | None:
        """Return the fault that happens to this request."""
        with self._guard:
            for fault in self._waiting:
                if fault.host in ("", host) and fault.path in path:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._waiting.remove(fault)
                    self.happened.append(fault)
                    return fault
            if self._mix is None or self._mix[1] <= 0 or host != "cdn":
                return None
            dice, count = self._mix
            if dice.random() > self._every:
                return None
            self._mix = (dice, count - 1)
            fault = Fault(dice.choice(self._kinds), after=dice.randrange(max(1, length)))
            self.happened.append(fault)
            return fault
