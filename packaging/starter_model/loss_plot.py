"""Draws the loss over the tokens seen, as an SVG: text, so that it needs no drawing library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 320
LEFT: Final = 56
BOTTOM: Final = 44
TOP: Final = 34
RIGHT: Final = 20
SMOOTH: Final = 0.8


def read_log(path: Path) -> list[tuple[float, float]]:
    """Return millions of tokens and loss of each line of a training log."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(one["tokens"] / 1e6, one["loss"]) for one in map(json.loads, lines)]


def smooth(values: list[float], keep: float = SMOOTH) -> list[float]:
    """Return running means, each `keep` of the one before."""
    found: list[float] = []
    for value in values:
        found.append(value if not found else keep * found[-1] + (1 - keep) * value)
    return found


def draw(points: list[tuple[float, float]]) -> str:
    """Return the picture."""
    most_x = max(x for x, _ in points)
    most_y = max(y for _, y in points)

    def place(x: float, y: float) -> str:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / most_x
        down = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * y / most_y
        return f"{across:.1f},{down:.1f}"

    even = smooth([y for _, y in points])
    raw = " ".join(place(x, y) for x, y in points)
    line = " ".join(place(x, y) for (x, _), y in zip(points, even, strict=True))
    marks = []
    for step in range(int(most_y) + 1):
        at = place(0, step).split(",")[1]
        marks.append(
            f'<line x1="{LEFT}" y1="{at}" x2="{WIDTH - RIGHT}" y2="{at}" stroke="#ddd"/>'
            f'<text x="{LEFT - 8}" y="{at}" dy="4" text-anchor="end">{step}</text>'
        )
    for part in range(5):
        x = most_x * part / 4
        at = place(x, 0).split(",")[0]
        marks.append(f'<text x="{at}" y="{HEIGHT - 24}" text-anchor="middle">{x:.1f}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="12" fill="#333">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<text x="{LEFT}" y="20" font-size="14">Loss in training (nats per learned token)</text>'
        + "".join(marks)
        + f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">million tokens</text>'
        f'<polyline points="{raw}" fill="none" stroke="#b9cbe4" stroke-width="1"/>'
        f'<polyline points="{line}" fill="none" stroke="#2a5db0" stroke-width="2"/></svg>\n'
    )
