"""Who may call: one decision for every form in which a key can be presented."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from freehold.errors import AppError
from freehold.secrets import LocalKey
from freehold.server.allow_list import is_loopback

MAX_BAD_KEYS = 10
WINDOW_S = 60.0
MAX_ADDRESSES = 10_000


class BadKeys:
    """How often each address presented a wrong key in the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, deque[float]] = {}

    def count(self, address: str) -> int:
        """Return the wrong keys of the last minute."""
        seen = self._seen.get(address)
        if seen is None:
            return 0
        while seen and seen[0] <= self._clock() - WINDOW_S:
            seen.popleft()
        if not seen:
            del self._seen[address]
        return len(seen)

    def add(self, address: str) -> None:
        """Note a wrong key."""
        if address not in self._seen and len(self._seen) >= MAX_ADDRESSES:
            self._seen.pop(next(iter(self._seen)))
        self._seen.setdefault(address, deque(maxlen=MAX_BAD_KEYS + 1)).append(self._clock())


class KeyCheck:
    """Decides from the headers whether a request carries the key.

    Another machine that guesses is locked out for a minute whatever it sends next. A loopback
    address stays open to the right key, so no local program can lock the window out.
    """

    def __init__(self, key: LocalKey, bad_keys: BadKeys | None = None) -> None:
        self._key = key
        self._bad_keys = bad_keys or BadKeys()

    def check(self, headers: Sequence[tuple[bytes, bytes]], address: str) -> None:
        """Raise AppError `unauthorized` or `rate_limited` unless the key is there and right."""
        limited = self._bad_keys.count(address) >= MAX_BAD_KEYS
        if limited and not is_loopback(address):
            raise _rate_limited()
        presented = presented_keys(headers)
        if presented and all(self._key.matches(key) for key in presented):
            return
        if not presented:
            raise AppError(
                "unauthorized",
                "This request carries no key.",
                "Send `Authorization: Bearer KEY`; the key is shown in Freehold's settings.",
            )
        self._bad_keys.add(address)
        if limited:
            raise _rate_limited()
        raise AppError(
            "unauthorized",
            "The key is wrong.",
            "Copy the key from Freehold's settings; it looks like fh-….",
        )


def presented_keys(headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """Return every key a request carries, in `Authorization` or `x-api-key`."""
    keys = []
    for name, value in headers:
        text = value.decode("latin-1").strip()
        if name == b"authorization":
            scheme, _, rest = text.partition(" ")
            text = rest.strip() if scheme.lower() == "bearer" else text
        elif name != b"x-api-key":
            continue
        if text:
            keys.append(text)
    return keys


def _rate_limited() -> AppError:
    return AppError(
        "rate_limited",
        "Too many wrong keys came from this address.",
        "Wait a minute, then send the right key.",
        retryable=True,
        detail={"retry_after_s": int(WINDOW_S)},
    )
