"""The tray without a desktop: icons, words, and a window that can always be reached."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QApplication

from doubles.client import FakeClient
from doubles.scenes import KIMI, QWEN, busy_workstation
from doubles.waiting import until
from freehold.errors import AppError
from freehold.paths import user_paths
from freehold.ui import desktop as desktop_module
from freehold.ui.desktop import Desktop, Launch
from freehold.ui.state.models import ModelsState
from freehold.ui.state.server import ServerStatus, server_status
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme
from freehold.ui.tray import DRAWINGS, Tray, tray_icon


def picture(condition: str, theme: Theme, *, failed: bool = False) -> bytes:
    status = ServerStatus(condition, "", "", "")  # type: ignore[arg-type]
    image = tray_icon(status, failed, theme).pixmap(22, 22).toImage()
    return bytes(image.constBits())


def test_conditions_look_different(theme: Theme) -> None:
    pictures = {c: picture(c, theme) for c in ("off", "idle", "loaded", "busy", "lost")}
    pictures["failed"] = picture("idle", theme, failed=True)
    assert len(set(pictures.values()) - {pictures["lost"]}) == 4
    assert pictures["failed"] == pictures["lost"]


@pytest.mark.parametrize("condition", sorted(DRAWINGS))
def test_every_condition_has_a_drawing(theme: Theme, condition: str) -> None:
    assert any(picture(condition, theme))


async def test_words_for_each_condition(session: Session, workstation: FakeClient) -> None:
    models = ModelsState(session, session)
    assert server_status(session, models).condition == "loading"
    assert "148 tokens/s" in server_status(session, models).models
    await workstation.unload_model(KIMI.ref)
    await until(lambda: server_status(session, models).condition == "busy")
    await workstation.unload_model(QWEN.ref)
    await until(lambda: server_status(session, models).condition == "idle")
    assert server_status(session, models).tip.endswith("No model loaded")
    workstation.go_offline()
    await until(lambda: server_status(session, models).condition == "lost")
    assert not server_status(session, models).is_on


async def test_a_server_elsewhere_is_named_and_cannot_be_switched_off(theme: Theme) -> None:
    client = busy_workstation()
    client._base_url = "http://box.example:11711"
    session = Session(client, retry_s=(0.01,))
    models = ModelsState(session, session)
    tray = Tray(session, models, theme, session)
    session.start()
    await until(lambda: session.is_connected)
    assert server_status(session, models).line == "Server on workstation"
    assert not tray._toggle.isEnabled()
    tray.close()
    await session.stop()
    await client.close()


async def test_the_menu_asks_for_what_it_says(session: Session, theme: Theme) -> None:
    tray = Tray(session, ModelsState(session, session), theme, session)
    asked: list[str] = []
    for name in ("open", "new_chat", "toggle_server", "copy_address", "quit"):
        getattr(tray, f"{name}_requested").connect(lambda name=name: asked.append(name))
    tray.unload_requested.connect(asked.append)
    for action in (*tray.menu.actions(), *tray._loaded.actions()):
        if action.isEnabled() and not action.menu():
            action.trigger()
    assert asked == ["open", "new_chat", "toggle_server", "copy_address", "quit", QWEN.ref]
    tray.close()


async def test_a_hidden_start_without_a_tray_shows_the_window_in_the_end(
    qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desktop_module, "TRAY_WAIT_MS", 30)
    client = busy_workstation()

    async def connect() -> FakeClient:
        return client

    paths = user_paths()
    paths.create()
    desktop = Desktop(qapp, paths, connect)
    desktop.start(Launch(hidden=True))
    assert not desktop.window.isVisible()
    await until(desktop.window.isVisible)
    await desktop.end()
    await client.close()


async def test_a_server_that_hangs_does_not_hold_up_quitting(
    qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = busy_workstation()

    async def connect() -> FakeClient:
        return client

    paths = user_paths()
    paths.create()
    desktop = Desktop(qapp, paths, connect)
    desktop.start(Launch())
    await until(lambda: desktop.session.is_connected)
    client.fail_next("shut_down", AppError("busy", "It is busy.", "Try again."))
    desktop.quit()
    from freehold.ui.widgets.question import Question

    await until(lambda: desktop.window.findChildren(Question))
    desktop.window.findChildren(Question)[0].choose("stop")
    await until(lambda: "It is busy" in desktop.window.toast.text)
    assert not desktop.finished.is_set()
    assert desktop.session.is_connected
    await desktop.end()
    await client.close()
