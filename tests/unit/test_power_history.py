"""The live panel's history: bounded, kept across restarts, with gaps that stay gaps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.paths import Paths
from freehold.power.history import KEPT_SPANS, POINT_S, SPAN_S, PowerHistory
from freehold.power.schema import SCHEMA
from freehold.power.store import PowerStore
from freehold.storage.connection import Database

NOW = 1_800_000_000.0
PARTS = ("GPU 0", "RAPL")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    paths = Paths(tmp_path / "d", tmp_path / "s", tmp_path / "c", tmp_path / "f")
    paths.create()
    opened = Database.open(paths, [SCHEMA])
    yield opened
    opened.close()


def fill(history: PowerHistory, start: float, seconds: int, gpu: float | None = 300.0) -> float:
    for second in range(seconds):
        history.add(start + second + 1, (gpu, 50.0), 7.0, 1.0)
    return start + seconds


async def test_a_restart_goes_on_where_it_was(database: Database) -> None:
    store, before = PowerStore(database), PowerHistory()
    end = fill(before, NOW, 900)
    await store.save(before.take_changed(), PARTS, end)
    assert before.take_changed() == []
    after = await store.load(PARTS, end + 300)
    for span in KEPT_SPANS:
        assert after.points(span) == before.points(span)
    assert after.points("minute") == ()
    # The hour's point that the restart cut in two is one point, with both halves in its mean.
    fill(after, end + 300, 60, gpu=600.0)
    month = after.points("month")
    assert len(month) == 1
    assert month[0].watts[0] == pytest.approx((900 * 300 + 60 * 600) / 960)
    hour = after.points("hour")
    gaps = [b.at - a.at for a, b in itertools.pairwise(hour)]
    assert max(gaps) >= 300
    await store.save(after.take_changed(), PARTS, end + 360)
    assert (await store.load(PARTS, end + 360)).points("month") == month


async def test_the_store_keeps_a_screen_of_points_and_no_more(database: Database) -> None:
    store, history = PowerStore(database), PowerHistory()
    at = NOW
    for _ in range(40):
        for hour in range(50):
            for step in range(4):
                history.add(at + hour * 3600 + step * 900 + 1, (1.0, 2.0), 0.0, 900.0)
        at += 50 * 3600
        await store.save(history.take_changed(), PARTS, at)
    rows = await database.read(
        lambda c: dict(
            c.execute("SELECT span, count(*) FROM power_history GROUP BY span").fetchall()
        )
    )
    for span in KEPT_SPANS:
        most = SPAN_S[span] // POINT_S[span] + 1
        assert rows[span] <= most
        assert len(history.points(span)) <= most
    assert len((await store.load(PARTS, at)).points("month")) > 700


async def test_other_meters_see_what_they_saw_and_gaps_else(database: Database) -> None:
    store, before = PowerStore(database), PowerHistory()
    end = fill(before, NOW, 30)
    await store.save(before.take_changed(), PARTS, end)
    after = await store.load(("RAPL", "tasmota at 192.0.2.7"), end)
    assert {point.watts for point in after.points("hour")} == {(50.0, None)}


async def test_a_clock_ten_years_ahead_leaves_nothing_behind(database: Database) -> None:
    store, history = PowerStore(database), PowerHistory()
    ten_years = 10 * 365.25 * 86_400
    fill(history, NOW, 30)
    ahead = fill(history, NOW + ten_years, 30)
    await store.save(history.take_changed(), PARTS, ahead)
    back = fill(history, NOW + 60, 30)
    for span in POINT_S:
        assert all(point.at <= back for point in history.points(span))
        assert history.points(span)
    await store.save(history.take_changed(), PARTS, back)
    kept = await store.load(PARTS, back)
    assert kept.points("hour")
    assert all(point.at <= back for span in KEPT_SPANS for point in kept.points(span))


@given(
    st.lists(
        st.tuples(
            st.floats(-1e9, 1e9),
            st.one_of(st.none(), st.floats(0, 5000)),
            st.floats(0, 500),
            st.floats(0.01, 30),
        ),
        max_size=80,
    )
)
def test_no_clock_and_no_gap_breaks_the_order_or_the_bounds(
    steps: list[tuple[float, float | None, float, float]],
) -> None:
    history = PowerHistory()
    for moved, watts, tokens, span_s in steps:
        history.add(NOW + moved, (watts,), tokens, span_s)
    for span in POINT_S:
        points = history.points(span)
        assert [p.at for p in points] == sorted(p.at for p in points)
        assert len(points) <= SPAN_S[span] // POINT_S[span] + 1
        for point in points:
            value = point.watts[0]
            assert value is None or 0 <= value <= 5000.1
