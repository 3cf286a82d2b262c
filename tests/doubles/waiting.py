"""Wait for a condition with a deadline, on whatever loop runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], object], *, timeout_s: float = 5.0) -> None:
    """Return once `condition()` is true; fail the test when it stays false."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"never became true: {condition}")
        await asyncio.sleep(0.005)
