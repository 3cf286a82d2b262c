"""Values of power in Freehold's API: meters, what they say, calibration, the power-limit sweep."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

PlugKind = Literal["shelly-2", "shelly-1", "tasmota", "redfish", "ipmi"]
PowerSpan = Literal["minute", "hour", "day", "month"]


class Value(msgspec.Struct, frozen=True):
    """A frozen value of the API."""


class Plug(Value, frozen=True, kw_only=True):
    """What measures the whole machine: a smart plug, or a server's management board.

    host: none for "ipmi", which is asked on this machine. user and fingerprint: of a "redfish"
    board; the fingerprint (SHA-256) is of a certificate that nobody signed and a person compared.
    """

    kind: PlugKind
    host: str = ""
    user: str = ""
    fingerprint: str = ""


class PlugTrial(Plug, frozen=True, kw_only=True):
    """A meter to be tried, with the password of a board; passwords are never told again."""

    password: str = ""


# --- trials ----------------------------------------------------------------------------------


class CalibrationResult(Value, frozen=True, kw_only=True):
    """wall = offset_watts + factor * what `meters` measure; errors are standard errors.

    error_share: half-width of the error of a wall power calculated so. on: the day (ISO date).
    """

    offset_watts: float
    factor: float
    offset_error: float
    factor_error: float
    error_share: float
    pairs: int
    on: str
    plug: str
    meters: tuple[str, ...]


class CalibrationState(Value, frozen=True, kw_only=True):
    """How far a calibration is. share: 0 to 1; `problem` says why one failed."""

    phase: Literal["none", "rest", "load", "done", "failed", "cancelled"] = "none"
    share: float = 0.0
    seconds_left: float = 0.0
    problem: str = ""
    result: CalibrationResult | None = None


class LimitPoint(Value, frozen=True, kw_only=True):
    """What one minute of answers took at a GPU's power limit; all measured.

    watts and joules_per_token: of everything the meters see, at `level`.
    """

    at: float
    gpu: str
    limit_watts: int
    model: str
    streams: int
    tokens_per_s: float
    watts: float
    joules_per_token: float
    level: str


class LimitState(Value, frozen=True, kw_only=True):
    """The power-limit sweep: what was measured, and what to set for the next point.

    commands: to be run by the person, one for each limit that is missing. `problem` says why
    nothing can be measured here.
    """

    gpu: str = ""
    limit_watts: int | None = None
    least_watts: int | None = None
    most_watts: int | None = None
    measuring: bool = False
    seconds_left: float = 0.0
    points: tuple[LimitPoint, ...] = ()
    best: LimitPoint | None = None
    sentence: str = ""
    commands: tuple[str, ...] = ()
    problem: str = ""


class CapacityRow(Value, frozen=True, kw_only=True):
    """How many people a machine serves at a context: by memory, by speed, and so by both."""

    context_tokens: int
    by_memory: int
    by_speed: int | None
    people: int


class Capacity(Value, frozen=True, kw_only=True):
    """What the loaded model serves here; `sentence` says what is missing where there are no rows.

    tokens_per_s: the highest speed measured, None before the first answer.
    """

    model: str = ""
    tokens_per_s: float | None = None
    tokens_per_person_s: float = 20.0
    rows: tuple[CapacityRow, ...] = ()
    sentence: str = ""


# --- meters ----------------------------------------------------------------------------------


class MeterState(Value, frozen=True, kw_only=True):
    """A meter and how well it measures; error_share 0.5 is ± 50 %."""

    source: str
    level: str
    error_share: float


class Meters(Value, frozen=True, kw_only=True):
    """The meters counted together now, and what could be added.

    unreadable: processor counters this user may not read; `udev_rule` lets a group read them.
    rest: how the rest of the machine is counted, "" where it is measured or left out.
    cannot_calibrate: why a calibration is not possible now, "" if it is.
    """

    counted: tuple[MeterState, ...]
    level: str
    plug: Plug | None = None
    unreadable: tuple[str, ...] = ()
    udev_rule: str = ""
    calibration: CalibrationResult | None = None
    rest: str = ""
    cannot_calibrate: str = ""


class PowerPart(Value, frozen=True, kw_only=True):
    """One meter's power; `watts` is None in a gap, `reason` says why."""

    source: str
    level: str
    error_share: float
    watts: float | None
    reason: str = ""


class LivePower(Value, frozen=True, kw_only=True):
    """What the machine draws now; None figures are not known.

    watts: the sum of all parts, None while one of them has a gap. tokens_per_s and
    joules_per_token (rest included) over the last ten seconds.
    """

    level: str
    error_share: float
    parts: tuple[PowerPart, ...] = ()
    watts: float | None = None
    tokens_per_s: float = 0.0
    joules_per_token: float | None = None
    money_per_hour: Decimal | None = None
    currency: str = "USD"


class PowerPoint(Value, frozen=True, kw_only=True):
    """Mean figures of one stretch; `watts` has one entry a part, None is a gap."""

    at: float
    watts: tuple[float | None, ...]
    tokens_per_s: float


class PowerCurve(Value, frozen=True, kw_only=True):
    """A span of power, oldest first; at most a screen of points of `point_s` seconds each."""

    span: PowerSpan
    span_s: int
    point_s: int
    parts: tuple[str, ...]
    points: tuple[PowerPoint, ...]


class PricedHours(Value, frozen=True, kw_only=True):
    """A stretch of the day with one price."""

    days: str
    start: str
    end: str
    price: Decimal


class Advice(Value, frozen=True, kw_only=True):
    """Advice with its figures; None where a figure is not known yet.

    idle_loaded_watts: at rest with a model loaded; idle_empty_watts: without one. Money a month
    of 730 h at the present price.
    """

    sentences: tuple[str, ...]
    level: str
    currency: str
    idle_loaded_watts: float | None = None
    idle_empty_watts: float | None = None
    idle_per_month: Decimal | None = None
    unloading_saves_per_month: Decimal | None = None
    hours: tuple[PricedHours, ...] = ()
