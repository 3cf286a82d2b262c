"""How sizes, durations and rates are printed, everywhere the same."""

from __future__ import annotations

KIB = 1024
MIB = 1024**2
GIB = 1024**3


def format_bytes(count: int) -> str:
    """Return a size in decimal units, three significant digits, as disks are sold: `24.1 MB`."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 999.5 or unit == "PB":
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f} {unit}"
    raise AssertionError("unreachable")


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units: `3 h 10 min`, `45 s`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def format_count(count: int) -> str:
    """Return a count shortened as people say it: `41 k`, `1.03 T`."""
    if count < 1000:
        return str(count)
    value = float(count)
    for unit in ("k", "M", "B", "T"):
        value /= 1000
        if value < 999.5 or unit == "T":
            return f"{value:.3g} {unit}"
    raise AssertionError("unreachable")


def format_rate(tokens_per_s: float) -> str:
    """Return a generation speed: `8.4 tokens/s`, `152 tokens/s`."""
    digits = 1 if tokens_per_s < 100 else 0
    return f"{tokens_per_s:,.{digits}f} tokens/s"
