"""What measures power, put together: the meters' desk, and the trials that keep a model busy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from freehold.devices.nvml import Nvml
from freehold.engine.interface import EngineSource
from freehold.paths import Paths
from freehold.power.sources import Source
from freehold.power.store import PowerStore
from freehold.server.busy_model import BusyModel
from freehold.server.calibrating import Calibrating
from freehold.server.cost_desk import CostDesk
from freehold.server.cost_power import PowerDesk
from freehold.server.limit_sweep import LimitSweep
from freehold.server.metering import Metering
from freehold.server.wall_meter import WallMeters
from freehold.storage.connection import Database
from freehold.wire import EngineState


@dataclass(frozen=True, slots=True)
class PowerTrials:
    """The calibration beside a plug and the power-limit sweep."""

    calibrating: Calibrating
    limits: LimitSweep

    async def close(self) -> None:
        """End what runs."""
        await self.calibrating.cancel()
        await self.limits.cancel()


def join_meters(
    paths: Paths, database: Database, costs: CostDesk, sources: Sequence[Source]
) -> tuple[PowerStore, Metering, PowerDesk]:
    """Put together what reads the meters; nothing is read before it starts."""
    store = PowerStore(database)
    metering = Metering(costs.ledger, (), costs.tariff.price_at, store=store)
    desk = PowerDesk(metering, costs, sources, WallMeters(paths.config))
    desk.choose()
    return store, metering, desk


def join_trials(
    desk: PowerDesk,
    store: PowerStore,
    nvml: Nvml | None,
    engines: EngineSource,
    states: Callable[[], tuple[EngineState, ...]],
    choose: Callable[[], Awaitable[str]],
) -> PowerTrials:
    """Put the trials together; nothing runs before it is asked for."""
    busy = BusyModel(engines, states, choose)
    return PowerTrials(
        Calibrating(desk.begin_calibration, busy.running, desk.keep_calibration),
        LimitSweep(nvml, store, desk.reader, busy.running, busy.model),
    )
