"""The power-limit sweep: energy per token at each limit a person has set, and which is best."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.wire_power import LimitPoint

STEPS = 6
# Below half of its limit a GPU's clocks fall faster than its power.
LOWEST_SHARE = 0.5
SAME_LIMIT_WATTS = 3


def newest_by_limit(points: Sequence[LimitPoint], gpu: str, model: str) -> tuple[LimitPoint, ...]:
    """Return the newest point of each limit of one GPU and model, by limit."""
    found: dict[int, LimitPoint] = {}
    for point in sorted(points, key=lambda p: p.at):
        if point.gpu == gpu and point.model == model:
            found[point.limit_watts] = point
    return tuple(found[limit] for limit in sorted(found))


def best_point(points: Sequence[LimitPoint]) -> LimitPoint | None:
    """Return the point that takes least energy per token."""
    return min(points, key=lambda p: (p.joules_per_token, -p.tokens_per_s), default=None)


def sweep_sentence(points: Sequence[LimitPoint]) -> str:
    """Return what the sweep says: the best point against the highest limit measured."""
    best = best_point(points)
    if best is None:
        return ""
    if len(points) < 2:
        return (
            f"At {best.limit_watts} W a token takes {best.joules_per_token:.2f} J. Set another "
            "limit and measure again to compare."
        )
    full = max(points, key=lambda p: p.limit_watts)
    if best is full:
        return (
            f"The highest limit measured, {best.limit_watts} W, is also the best: "
            f"{best.joules_per_token:.2f} J per token."
        )
    energy = 1 - best.joules_per_token / full.joules_per_token
    speed = 1 - best.tokens_per_s / full.tokens_per_s
    slower = f"{speed * 100:.0f} % fewer tokens a second" if speed > 0.005 else "no loss of speed"
    return (
        f"Best at {best.limit_watts} W: {energy * 100:.0f} % less energy per token than at "
        f"{full.limit_watts} W, with {slower}."
    )


def missing_limits(least: int, most: int, points: Sequence[LimitPoint]) -> tuple[int, ...]:
    """Return the limits that are worth a point and have none, the highest first."""
    lowest = max(least, round(most * LOWEST_SHARE))
    if most <= lowest:
        return ()
    step = (most - lowest) / (STEPS - 1)
    wanted = [round((most - step * i) / 5) * 5 for i in range(STEPS)]
    wanted = [min(max(watts, lowest), most) for watts in wanted]
    measured = [point.limit_watts for point in points]
    return tuple(
        watts
        for watts in dict.fromkeys(wanted)
        if all(abs(watts - known) > SAME_LIMIT_WATTS for known in measured)
    )


def limit_command(gpu_index: int, watts: int) -> str:
    """Return the command by which a person sets a limit; Freehold never runs it."""
    return f"sudo nvidia-smi -i {gpu_index} -pl {watts}"
