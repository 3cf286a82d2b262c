"""Watts in the strip at the bottom, and energy below an answer."""

from __future__ import annotations

from doubles.client import FakeClient
from doubles.waiting import until
from freehold.ui.chats.footer import stats_explained, stats_text
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.status_strip import StatusStrip
from freehold.ui.theme import Theme
from freehold.wire import ReplyStats
from freehold.wire_power import (
    LivePower,
)


async def test_watts_are_shown_with_their_level_while_somebody_looks(
    session: Session, workstation: FakeClient, theme: Theme
) -> None:
    workstation.costs.live = LivePower(level="wall", error_share=0.02, watts=431.2)
    strip = StatusStrip(session, ModelsState(session, session), theme)
    strip._power._next_look.setInterval(1)
    strip.show()
    await until(lambda: strip.power.isVisible())
    assert strip.power.text() == "431 W"
    assert strip.power.toolTip() == "Drawn now, measured at the wall ± 2 %"
    workstation.costs.live = LivePower(level="estimate", error_share=0.5, watts=43.0)
    strip._power._look()
    await until(lambda: strip.power.text() == "43 W (estimate)")
    workstation.costs.live = LivePower(level="gpu", error_share=0.05)
    strip._power._look()
    await until(lambda: not strip.power.isVisible())
    strip.hide()
    assert not strip._power._next_look.isActive()
    strip.deleteLater()


def test_an_answer_says_what_it_used_and_cost() -> None:
    stats = ReplyStats(
        completion_tokens=120,
        energy_joules=1440.0,
        energy_level="estimate",
        energy_money="0.000128",
        energy_currency="USD",
    )
    assert "0.4 Wh · 0.01 ¢ (estimate)" in stats_text(stats, "complete")
    assert "Energy above idle: 0.4 Wh" in stats_explained(stats)
    measured = ReplyStats(completion_tokens=1, energy_joules=7200.0, energy_level="wall")
    assert stats_text(measured, "complete").endswith("2.0 Wh")
    assert "measured at the wall" in stats_explained(measured)
    assert "Wh" not in stats_text(ReplyStats(completion_tokens=1), "complete")
