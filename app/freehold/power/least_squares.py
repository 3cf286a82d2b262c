"""Small least-squares fits in plain Python: loading an array library takes longer than they do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

# A pivot smaller than this, of columns scaled to length one, means that two columns say the same.
SINGULAR = 1e-10


def fit_non_negative(
    rows: Sequence[Sequence[float]], values: Sequence[float]
) -> list[float] | None:
    """Return the coefficients, none negative, whose sums of columns come nearest to `values`.

    Every subset of columns is solved and the best feasible one taken, which is exact; for a
    handful of columns only. None if no subset has a solution.
    """
    count = len(rows[0]) if rows else 0
    scale = [math.sqrt(sum(row[i] ** 2 for row in rows)) for i in range(count)]
    best: tuple[float, list[float]] | None = None
    for size in range(count, 0, -1):
        for columns in combinations(range(count), size):
            found = _solve_columns(rows, values, columns, scale)
            if found is None or min(found) < 0 or max(found) <= 0:
                continue
            error = sum(
                (sum(row[c] * k for c, k in zip(columns, found, strict=True)) - value) ** 2
                for row, value in zip(rows, values, strict=True)
            )
            if best is None or error < best[0]:
                whole = [0.0] * count
                for column, value in zip(columns, found, strict=True):
                    whole[column] = value
                best = (error, whole)
    return best[1] if best else None


def _solve_columns(
    rows: Sequence[Sequence[float]],
    values: Sequence[float],
    columns: Sequence[int],
    scale: Sequence[float],
) -> list[float] | None:
    """Return the unbounded solution over some columns, by the normal equations."""
    if any(scale[c] == 0 for c in columns):
        return None
    matrix = [
        [sum(row[a] * row[b] for row in rows) / scale[a] / scale[b] for b in columns]
        + [sum(row[a] * value for row, value in zip(rows, values, strict=True)) / scale[a]]
        for a in columns
    ]
    found = _eliminate(matrix)
    return None if found is None else [k / scale[c] for k, c in zip(found, columns, strict=True)]


def _eliminate(matrix: list[list[float]]) -> list[float] | None:
    """Solve equations whose last column is the right side; None if they are not independent."""
    size = len(matrix)
    for at in range(size):
        pivot = max(range(at, size), key=lambda row: abs(matrix[row][at]))
        if not abs(matrix[pivot][at]) > SINGULAR:
            return None
        matrix[at], matrix[pivot] = matrix[pivot], matrix[at]
        for row in range(size):
            if row != at:
                factor = matrix[row][at] / matrix[at][at]
                for column in range(at, size + 1):
                    matrix[row][column] -= factor * matrix[at][column]
    found = [matrix[i][size] / matrix[i][i] for i in range(size)]
    return found if all(math.isfinite(value) for value in found) else None


@dataclass(frozen=True, slots=True)
class Line:
    """y = offset + factor * x, with standard errors; `scatter` is what points differ from it."""

    offset: float
    factor: float
    offset_error: float
    factor_error: float
    scatter: float


def fit_line(points: Sequence[tuple[float, float]]) -> Line | None:
    """Return the line nearest to points (x, y), None for fewer than three or a single x."""
    count = len(points)
    if count < 3:
        return None
    mean_x = math.fsum(x for x, _ in points) / count
    mean_y = math.fsum(y for _, y in points) / count
    spread = math.fsum((x - mean_x) ** 2 for x, _ in points)
    if spread <= 1e-9 * max(1.0, mean_x**2):
        return None
    factor = math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    offset = mean_y - factor * mean_x
    rest = math.fsum((y - offset - factor * x) ** 2 for x, y in points)
    scatter = math.sqrt(rest / (count - 2))
    return Line(
        offset,
        factor,
        scatter * math.sqrt(1 / count + mean_x**2 / spread),
        scatter / math.sqrt(spread),
        scatter,
    )
