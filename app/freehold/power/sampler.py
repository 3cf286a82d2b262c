"""Reading the meters once a second, and telling what was used between two looks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from freehold.power.readings import Energy, Gap, Level, Meter, Reading, energy_between
from freehold.power.sources import Source
from freehold.power.whole import WholeMachine

log = logging.getLogger(__name__)

SAMPLE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class ComponentPower:
    """One meter's stretch: watts, or None in a gap with its reason."""

    meter: Meter
    watts: float | None
    microjoules: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """What all meters say of one stretch of time (monotonic seconds).

    microjoules: the sum of the meters counted together. `complete` is False if one of them had a
    gap, so the sum is a lower bound.
    """

    start_s: float
    end_s: float
    components: tuple[ComponentPower, ...]
    microjoules: int
    level: Level
    complete: bool

    @property
    def watts(self) -> float:
        """Return the mean power of what was measured."""
        span_s = self.end_s - self.start_s
        return self.microjoules / 1e6 / span_s if span_s > 0 else 0.0


def choose_sources(sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the meters to add up, so that no joule is counted twice.

    A meter at the wall sees everything: with one, it counts alone. Otherwise GPU and CPU meters
    are added; the estimate is used only where nothing measures.
    """
    wall = [source for source in sources if source.meter.level == "wall"]
    if wall:
        return (wall[0],)
    measured = tuple(source for source in sources if source.meter.level != "estimate")
    return measured or tuple(sources[:1])


def sample_level(sources: Sequence[Source]) -> Level:
    """Return how much of the machine a set of meters sees."""
    levels = {source.meter.level for source in sources}
    for level in ("wall", "gpu+cpu", "gpu"):
        if level in levels:
            return level
    return "estimate"


def whole_level(sources: Sequence[Source], whole: WholeMachine | None) -> Level:
    """Return the level of a set of meters with what `whole` adds to it."""
    level = sample_level(sources)
    return "calculated" if whole is not None and level in ("gpu+cpu", "gpu") else level


@dataclass(slots=True)
class MeterReader:
    """Keeps each meter's last reading and turns the next into a sample.

    whole: adds what GPU and processor meters do not see; no part of a meter at the wall.
    """

    sources: tuple[Source, ...]
    whole: WholeMachine | None = None
    _last: dict[int, Reading] = field(default_factory=dict)

    def read(self) -> Sample | None:
        """Return what was used since the last call, or None on the first."""
        now = [source.read() for source in self.sources]
        components: list[ComponentPower] = []
        starts: list[float] = []
        for index, (source, reading) in enumerate(zip(self.sources, now, strict=True)):
            earlier = self._last.get(index)
            self._last[index] = reading
            if earlier is None:
                continue
            starts.append(earlier.at_s)
            components.append(
                _component(source.meter, energy_between(source.meter, earlier, reading))
            )
        if not components or not now:
            return None
        start_s, end_s = min(starts), max(reading.at_s for reading in now)
        level = whole_level(self.sources, self.whole)
        if self.whole is not None and level == "calculated":
            components.append(_rest(self.whole, components, end_s - start_s))
        return Sample(
            start_s,
            end_s,
            tuple(components),
            sum(component.microjoules for component in components),
            level,
            all(component.watts is not None for component in components),
        )


def _rest(
    whole: WholeMachine, components: Sequence[ComponentPower], span_s: float
) -> ComponentPower:
    """Return the part that no meter sees; a gap where one of them has a gap."""
    if span_s <= 0 or any(component.watts is None for component in components):
        return ComponentPower(whole.meter, None, 0, "no reading")
    measured = sum(component.microjoules for component in components)
    rest = whole.rest_microjoules(measured, span_s)
    return ComponentPower(whole.meter, rest / 1e6 / span_s, rest)


def _component(meter: Meter, found: Energy | Gap) -> ComponentPower:
    if isinstance(found, Gap):
        return ComponentPower(meter, None, 0, found.reason)
    return ComponentPower(meter, found.watts, found.microjoules)


class Sampler:
    """Calls a function with a sample once a second, on a thread of its own, until stopped."""

    def __init__(
        self,
        sources: Sequence[Source],
        on_sample: Callable[[Sample], None],
        every_s: float = SAMPLE_EVERY_S,
        whole: WholeMachine | None = None,
    ) -> None:
        self._reader = MeterReader(tuple(sources), whole)
        self._on_sample = on_sample
        self._every_s = every_s
        self._stopping = threading.Event()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="power-sampler", daemon=True)

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def read_now(self) -> Sample | None:
        """Read the meters at once, on the calling thread; the next sample begins here."""
        with self._turn:
            return self._reader.read()

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                sample = self.read_now()
                if sample is not None:
                    self._on_sample(sample)
            except Exception:
                log.exception("a power sample failed")
