"""Joining what the meters saw with what the engines did, window by window.

A window is settled once every engine has told its steps up to the window's end (they come a little
later than the meter's sample). Settled energy belongs to requests or to standby and is never
moved again, so the ledger's lines add up to the meters exactly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from freehold.power.attribution import (
    STARTING_POINT,
    Coefficients,
    Observation,
    Shares,
    Step,
    attribute,
)
from freehold.power.readings import Level
from freehold.power.sampler import Sample

# An engine that says nothing for this long is taken to have done nothing.
PATIENCE_S = 5.0
# How fast the idle power follows idle windows: at once when one drew less, slowly when one drew
# more, since loading a model or another program's work is not rest.
IDLE_FALL = 0.5
IDLE_RISE = 0.01


@dataclass(frozen=True, slots=True)
class Settled:
    """A window whose energy has its owners. Times are monotonic seconds."""

    start_s: float
    end_s: float
    by_request: Mapping[str, int]
    idle_microjoules: int
    level: Level
    complete: bool

    @property
    def microjoules(self) -> int:
        return self.idle_microjoules + sum(self.by_request.values())


@dataclass(frozen=True, slots=True)
class RequestEnergy:
    """What a request has used so far. `level` is the weakest meter it was measured with."""

    microjoules: int
    level: Level
    settled_until_s: float


_WEAKNESS: dict[Level, int] = {
    "wall": 0,
    "calculated": 1,
    "gpu+cpu": 2,
    "gpu": 3,
    "estimate": 4,
}


@dataclass(slots=True)
class EnergyAccount:
    """Collects samples and steps; gives out settled windows."""

    by: Coefficients = STARTING_POINT
    idle_watts: float | None = None
    _samples: deque[Sample] = field(default_factory=deque)
    _steps: deque[Step] = field(default_factory=deque)
    _told_until: dict[str, float] = field(default_factory=dict)
    _energy: dict[str, RequestEnergy] = field(default_factory=dict)
    _log: deque[Observation] = field(default_factory=lambda: deque(maxlen=2000))

    def add_engine(self, engine: str, now_s: float) -> None:
        """Begin to wait for an engine's steps."""
        self._told_until[engine] = now_s

    def remove_engine(self, engine: str) -> None:
        """Stop waiting for an engine that is gone."""
        self._told_until.pop(engine, None)

    def add_steps(self, engine: str, steps: tuple[Step, ...], until_s: float) -> None:
        """Add the steps an engine did; it has told everything up to `until_s`."""
        if engine in self._told_until:
            self._told_until[engine] = max(self._told_until[engine], until_s)
        self._steps.extend(steps)

    def add_sample(self, sample: Sample) -> None:
        """Add a meter window; windows come in order of time."""
        self._samples.append(sample)

    def settle(self, now_s: float) -> list[Settled]:
        """Return the windows that can be settled now, oldest first."""
        done: list[Settled] = []
        while self._samples and self._is_told(self._samples[0].end_s, now_s):
            done.append(self._settle_one(self._samples.popleft()))
        return done

    def _is_told(self, end_s: float, now_s: float) -> bool:
        if now_s - end_s > PATIENCE_S:
            return True
        return all(told >= end_s for told in self._told_until.values())

    def _settle_one(self, sample: Sample) -> Settled:
        inside = self._inside(sample)
        while self._steps and self._steps[0].end_s <= sample.end_s:
            self._steps.popleft()
        if not inside:
            self._learn_idle(sample)
        shares = self._share(sample, inside)
        for request_id, microjoules in shares.by_request.items():
            so_far = self._energy.get(request_id)
            self._energy[request_id] = _joined(so_far, microjoules, sample)
        if inside and sample.complete:
            self._observe(inside, sum(shares.by_request.values()))
        return Settled(
            sample.start_s,
            sample.end_s,
            shares.by_request,
            shares.idle_microjoules,
            sample.level,
            sample.complete,
        )

    def _learn_idle(self, sample: Sample) -> None:
        if not sample.complete or sample.end_s <= sample.start_s:
            return
        if self.idle_watts is None:
            self.idle_watts = sample.watts
        else:
            difference = sample.watts - self.idle_watts
            self.idle_watts += (IDLE_FALL if difference < 0 else IDLE_RISE) * difference

    def _inside(self, sample: Sample) -> list[Step]:
        return [s for s in self._steps if s.end_s > sample.start_s and s.start_s < sample.end_s]

    def _share(self, sample: Sample, inside: list[Step]) -> Shares:
        idle_watts = self.idle_watts if self.idle_watts is not None else 0.0
        return attribute(
            sample.microjoules, sample.start_s, sample.end_s, idle_watts, inside, self.by
        )

    def _observe(self, steps: list[Step], active_microjoules: int) -> None:
        work = [item for step in steps for item in step.work]
        self._log.append(
            Observation(
                sum(item.prefill_tokens for item in work),
                sum(item.decode_tokens for item in work),
                sum(item.context_tokens for item in work),
                active_microjoules / 1e6,
            )
        )

    @property
    def has_engines(self) -> bool:
        """Return whether a model is loaded."""
        return bool(self._told_until)

    @property
    def observations(self) -> tuple[Observation, ...]:
        """Return the log that coefficients are fitted from."""
        return tuple(self._log)

    def energy(self, request_id: str) -> RequestEnergy | None:
        """Return what a request has used in settled windows, None if there is nothing yet."""
        return self._energy.get(request_id)

    def preview(self, request_id: str) -> RequestEnergy | None:
        """Return a request's energy, unsettled windows shared out by what is known so far."""
        found = self._energy.get(request_id)
        for sample in self._samples:
            inside = self._inside(sample)
            shares = self._share(sample, inside)
            if request_id in shares.by_request:
                found = _joined(found, shares.by_request[request_id], sample)
        return found

    def close_request(self, request_id: str) -> RequestEnergy | None:
        """Return a request's energy for the last time and forget it."""
        return self._energy.pop(request_id, None)

    def is_settled(self, moment_s: float) -> bool:
        """Tell whether every window up to a moment has been settled."""
        return not self._samples or self._samples[0].start_s >= moment_s


def _joined(so_far: RequestEnergy | None, microjoules: int, sample: Sample) -> RequestEnergy:
    """Add a window's share to what a request has, at the weaker of both levels."""
    if so_far is None:
        return RequestEnergy(microjoules, sample.level, sample.end_s)
    level = max(sample.level, so_far.level, key=_WEAKNESS.__getitem__)
    return RequestEnergy(so_far.microjoules + microjoules, level, sample.end_s)
