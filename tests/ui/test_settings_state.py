"""Settings change at once, are sent once, and come back when refused."""

from __future__ import annotations

from doubles.client import FakeClient
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState


async def test_a_change_shows_at_once_and_is_stored(
    session: Session, workstation: FakeClient
) -> None:
    settings = SettingsState(session)
    seen: list[int] = []
    settings.changed.connect(lambda: seen.append(settings.values.idle_unload_minutes))
    settings.change(idle_unload_minutes=5)
    assert settings.values.idle_unload_minutes == 5
    await until(lambda: not settings.is_saving)
    assert workstation.stored_settings.idle_unload_minutes == 5
    assert settings.values.idle_unload_minutes == 5
    assert seen == [5]


async def test_changes_during_a_save_go_out_together_after_it(
    session: Session, workstation: FakeClient
) -> None:
    settings = SettingsState(session)
    settings.change(theme="dark")
    await until(lambda: workstation.called("save_settings"))
    settings.change(theme="light")
    settings.change(port=12000)
    await until(lambda: not settings.is_saving)
    assert len(workstation.called("save_settings")) == 2
    assert (workstation.stored_settings.theme, workstation.stored_settings.port) == (
        "light",
        12000,
    )


async def test_no_change_sends_nothing(session: Session, workstation: FakeClient) -> None:
    SettingsState(session).change(theme="system", port=11711)
    assert workstation.called("save_settings") == []


async def test_a_refused_change_is_taken_back_and_told(
    session: Session, workstation: FakeClient
) -> None:
    settings = SettingsState(session)
    problems: list[tuple[tuple[str, ...], AppError]] = []
    settings.failed.connect(lambda names, error: problems.append((names, error)))
    settings.change(port=80)
    await until(lambda: problems)
    assert problems[0][0] == ("port",)
    assert "Port 80" in problems[0][1].message
    assert settings.values.port == 11711
