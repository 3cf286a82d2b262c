"""Small fits: exact where they can be, honest about their error, and never by chance."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.power.least_squares import fit_line, fit_non_negative

FIGURES = st.floats(0.01, 1e4)


@given(st.tuples(FIGURES, FIGURES, FIGURES), st.integers(0, 2**32))
def test_exact_values_give_their_coefficients(true: tuple[float, float, float], seed: int) -> None:
    draw = random.Random(seed)
    rows = [(draw.randrange(4000), draw.randrange(500), draw.randrange(10**6)) for _ in range(60)]
    values = [sum(k * x for k, x in zip(true, row, strict=True)) for row in rows]
    found = fit_non_negative(rows, values)
    assert found is not None
    predicted = [sum(k * x for k, x in zip(found, row, strict=True)) for row in rows]
    assert predicted == pytest.approx(values, rel=1e-6)


@given(
    st.lists(st.tuples(*[st.floats(-1e3, 1e6)] * 2, st.floats(-1e6, 1e6)), min_size=1, max_size=40)
)
def test_coefficients_are_never_negative_whatever_comes(
    lines: list[tuple[float, float, float]],
) -> None:
    found = fit_non_negative([line[:2] for line in lines], [line[2] for line in lines])
    assert found is None or (min(found) >= 0 and max(found) > 0)


def test_columns_that_say_the_same_are_not_both_used() -> None:
    rows = [(float(x), 2.0 * x) for x in range(1, 50)]
    found = fit_non_negative(rows, [6.0 * x for x in range(1, 50)])
    assert found in ([pytest.approx(6.0), 0.0], [0.0, pytest.approx(3.0)])


def test_nothing_cannot_be_fitted() -> None:
    assert fit_non_negative([], []) is None
    assert fit_non_negative([(0.0, 0.0)] * 9, [1.0] * 9) is None
    assert fit_non_negative([(1.0,)] * 9, [-1.0] * 9) is None


@given(st.floats(-500, 500), st.floats(-5, 5), st.integers(0, 2**32))
def test_a_noisy_line_lies_within_its_error(offset: float, factor: float, seed: int) -> None:
    draw = random.Random(seed)
    points = [(x, offset + factor * x + draw.gauss(0, 2)) for x in range(0, 400, 5)]
    line = fit_line(points)
    assert line is not None
    # Six standard errors: one draw in five hundred million lies outside.
    assert abs(line.offset - offset) < 6 * line.offset_error
    assert abs(line.factor - factor) < 6 * line.factor_error
    assert line.scatter == pytest.approx(2, rel=0.6)


@pytest.mark.parametrize("points", [[], [(1, 1), (2, 2)], [(5.0, 1.0)] * 20])
def test_a_single_place_makes_no_line(points: list[tuple[float, float]]) -> None:
    assert fit_line(points) is None


def test_meters_and_the_client_load_no_arrays_and_no_command_line() -> None:
    """Every start of the server and of every command pays for what these import."""
    code = (
        "import sys; import freehold.server.metering, freehold.power.plugs, freehold.client.http;"
        "print([n for n in ('numpy', 'click', 'rich') if n in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert out.stdout.strip() == "[]"
