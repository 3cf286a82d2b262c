"""Power as the Costs page shows it: now, over time, by which meters, and what follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from freehold.errors import AppError
from freehold.power.history import POINT_S, SPAN_S, Point
from freehold.power.sampler import MeterReader, Sample
from freehold.power.sources import RaplAccess, Source, find_rapl
from freehold.power.whole import WholeMachine, supply_only
from freehold.server.calibrating import Pair
from freehold.server.cost_desk import CostDesk
from freehold.server.metering import Metering
from freehold.server.power_advice import give_advice, per_hour
from freehold.server.wall_meter import WallMeters
from freehold.wire_power import (
    Advice,
    CalibrationResult,
    LivePower,
    Meters,
    MeterState,
    PlugTrial,
    PowerCurve,
    PowerPart,
    PowerPoint,
    PowerSpan,
)

RECENT_POINTS: Final = 10


class PowerDesk:
    """Tells what the meters say; changes what is read at the wall."""

    def __init__(
        self,
        metering: Metering,
        desk: CostDesk,
        machine_sources: Sequence[Source],
        wall: WallMeters,
        find_counters: Callable[[], RaplAccess] = find_rapl,
    ) -> None:
        self._metering = metering
        self._desk = desk
        self._machine_sources = tuple(machine_sources)
        self._wall = wall
        self._find_counters = find_counters

    # --- meters --------------------------------------------------------------------------

    @property
    def measured_sources(self) -> tuple[Source, ...]:
        """Return the machine's own meters that measure."""
        return tuple(s for s in self._machine_sources if s.meter.level != "estimate")

    def choose(self) -> None:
        """Take the meters that are set, before anything is read."""
        self._metering.choose(self._with_plug(), self._whole())

    def _with_plug(self) -> tuple[Source, ...]:
        plug = self._desk.own.current.plug
        if plug is None:
            return self._machine_sources
        return (self._wall.source(plug), *self._machine_sources)

    def _whole(self) -> WholeMachine | None:
        """Return how the rest of the machine is counted without a meter at the wall."""
        own = self._desk.own.current
        found = own.calibration
        if found is not None and found.meters == self._names():
            name = f"rest of the machine (calibrated {found.on})"
            return WholeMachine(found.offset_watts, found.factor, found.error_share, name)
        if own.supply_efficiency > 0:
            return supply_only(float(own.supply_efficiency))
        return None

    def _names(self) -> tuple[str, ...]:
        return tuple(source.meter.source for source in self.measured_sources)

    async def use_own(self) -> Meters:
        """Read what the settings say from now on."""
        await self._metering.use_sources(self._with_plug(), self._whole())
        return await asyncio.to_thread(self.meters)

    async def set_plug(self, wanted: PlugTrial | None) -> Meters:
        """Read the machine by a plug or board from now on, or no longer; it is tried first.

        Raises: AppError saying what is wrong with address, account, certificate or rights.
        """
        own = self._desk.own
        plug = None if wanted is None else await asyncio.to_thread(self._wall.try_out, wanted)
        if plug is None:
            await asyncio.to_thread(self._wall.forget, own.current.plug)
        await asyncio.to_thread(own.save, msgspec.structs.replace(own.current, plug=plug))
        return await self.use_own()

    async def keep_calibration(self, result: CalibrationResult | None) -> None:
        """Keep what was fitted beside a plug, or forget it."""
        own = self._desk.own
        await asyncio.to_thread(own.save, msgspec.structs.replace(own.current, calibration=result))
        await self.use_own()

    def begin_calibration(self) -> tuple[Callable[[], Pair], str, tuple[str, ...]]:
        """Return what reads both sides, the plug's name and the names of the machine's meters.

        Raises: AppError `conflict` where there is nothing to calibrate with.
        """
        problem = self._cannot_calibrate()
        plug = self._desk.own.current.plug
        if problem or plug is None:
            raise AppError("conflict", problem, "See Tariff and meters on the Costs page.")
        source = self._wall.source(plug)
        measured, wall = MeterReader(self.measured_sources), MeterReader((source,))

        def read() -> Pair:
            return measured.read(), wall.read()

        return read, source.meter.source, self._names()

    def _cannot_calibrate(self) -> str:
        if not self.measured_sources:
            return (
                "Nothing here measures the GPU or the processor, so there is nothing to fit to a"
                " plug."
            )
        if self._desk.own.current.plug is None:
            return "A calibration needs a plug or a management board; set one first."
        return ""

    def meters(self) -> Meters:
        """Return the meters counted together. Blocks on the disk."""
        access = self._find_counters()
        own = self._desk.own.current
        return Meters(
            counted=tuple(
                MeterState(source=m.source, level=m.level, error_share=m.error_share)
                for m in self._metering.meters
            ),
            level=self._metering.level,
            plug=own.plug,
            unreadable=tuple(zone.name for zone in access.denied),
            udev_rule=access.udev_rule if access.denied else "",
            calibration=own.calibration,
            rest=self._metering.whole.source if self._metering.whole is not None else "",
            cannot_calibrate=self._cannot_calibrate(),
        )

    def reader(self) -> MeterReader:
        """Return what reads the meters that are counted, for a trial of its own."""
        return MeterReader(self._metering.sources, self._metering.whole)

    def close(self) -> None:
        """Close the connections to plug and board."""
        self._wall.close()

    # --- figures -------------------------------------------------------------------------

    def live(self) -> LivePower:
        """Return what the machine draws now."""
        sample = self._metering.latest
        if sample is None:
            return LivePower(
                level=self._metering.level, error_share=0.0, currency=self._desk.currency
            )
        watts = sample.watts if sample.complete else None
        tokens_per_s, per_token = _recent(self._metering.history.points("minute"))
        price = self._desk.energy_price()
        return LivePower(
            level=sample.level,
            error_share=_error(sample),
            parts=tuple(
                PowerPart(
                    source=c.meter.source,
                    level=c.meter.level,
                    error_share=c.meter.error_share,
                    watts=c.watts,
                    reason=c.reason,
                )
                for c in sample.components
            ),
            watts=watts,
            tokens_per_s=tokens_per_s,
            joules_per_token=per_token,
            money_per_hour=per_hour(watts, price),
            currency=self._desk.currency,
        )

    def curve(self, span: PowerSpan) -> PowerCurve:
        """Return a span's points."""
        return PowerCurve(
            span=span,
            span_s=SPAN_S[span],
            point_s=POINT_S[span],
            parts=self._metering.parts,
            points=tuple(
                PowerPoint(at=p.at, watts=p.watts, tokens_per_s=p.tokens_per_s)
                for p in self._metering.history.points(span)
            ),
        )

    def advice(self) -> Advice:
        """Return what could be saved, with figures. Blocks on the disk."""
        return give_advice(
            self._metering.rest,
            self._metering.level,
            self._desk.energy_price(),
            self._desk.currency,
            self._desk.tariff.current,
            self._desk.now(),
        )


def _error(sample: Sample) -> float:
    """Return the stated error of the sum: each part's own, weighed by its power."""
    parts = [(c.watts or 0.0, c.meter.error_share) for c in sample.components]
    if sample.level == "calculated":
        return sample.components[-1].meter.error_share  # it is of the whole
    total = sum(watts for watts, _ in parts)
    if total <= 0:
        return max((error for _, error in parts), default=0.0)
    return round(sum(watts * error for watts, error in parts) / total, 4)


def _recent(points: Sequence[Point]) -> tuple[float, float | None]:
    """Return tokens a second and joules per token over the last whole seconds."""
    recent = points[-RECENT_POINTS - 1 : -1] or points[-1:]
    if not recent:
        return 0.0, None
    tokens = sum(point.tokens_per_s for point in recent)
    known = all(watts is not None for point in recent for watts in point.watts)
    joules = sum(watts or 0.0 for point in recent for watts in point.watts)
    per_token = joules / tokens if tokens > 0 and known else None
    return tokens / len(recent), per_token
