"""How commands reach the ledger: through the running server, or the database without one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from freehold.client.discovery import find_server
from freehold.paths import Paths
from freehold.wire_costs import By, CostSummary


class CostsAccess(Protocol):
    """The ledger's figures, wherever they are."""

    async def summary(self, month: str = "", by: By = "person") -> CostSummary:
        """Return a month rolled up; an empty month means this one."""
        ...


@contextlib.asynccontextmanager
async def open_costs_access(paths: Paths) -> AsyncIterator[CostsAccess]:
    """Yield the ledger; without a server, this process holds the data folder meanwhile."""
    paths.create()
    found = await find_server(paths)
    if found is not None:
        try:
            yield found.client.costs
        finally:
            await found.client.close()
        return
    # Only here: asking a server needs no database.
    from freehold.server.server_lock import ServerLock
    from freehold.server.wiring import open_costs

    lock = ServerLock(paths)
    await asyncio.to_thread(lock.take)
    try:
        with open_costs(paths) as desk:
            yield desk
    finally:
        lock.release()
