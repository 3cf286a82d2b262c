"""Stories of the whole window on a server in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from PySide6.QtCore import QSettings, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from doubles.client import FakeClient, error_info
from doubles.scenes import GEMMA, QWEN, busy_workstation
from doubles.waiting import until
from freehold.errors import AppError
from freehold.paths import Paths, user_paths
from freehold.ui.desktop import Desktop, Launch
from freehold.ui.widgets.question import Question
from freehold.ui.window import LOST
from freehold.wire import Notice


@pytest.fixture
def paths() -> Paths:
    found = user_paths()
    found.create()
    return found


@pytest.fixture
def server() -> FakeClient:
    return busy_workstation()


@pytest_asyncio.fixture
async def desktop(qapp: QApplication, paths: Paths, server: FakeClient) -> AsyncIterator[Desktop]:
    async def connect() -> FakeClient:
        return server

    desktop = Desktop(qapp, paths, connect)
    desktop.start(Launch())
    await until(lambda: desktop.session.is_connected)
    yield desktop
    await desktop.end()
    assert [w for w in QApplication.topLevelWidgets() if w.isVisible()] == []


def press(desktop: Desktop, key: Qt.Key) -> None:
    QTest.keyClick(desktop.window, key, Qt.KeyboardModifier.ControlModifier)


async def question(desktop: Desktop) -> Question:
    await until(lambda: desktop.window.findChildren(Question))
    return desktop.window.findChildren(Question)[0]


async def test_the_window_is_there_before_the_server(qapp: QApplication, paths: Paths) -> None:
    async def never() -> FakeClient:
        raise AppError("server_unreachable", "It did not start: port taken.", "Choose another.")

    desktop = Desktop(qapp, paths, never)
    desktop.start(Launch())
    assert desktop.window.isVisible()
    assert "Starting" in desktop.window.strip.server.text()
    box = desktop.window.page("chats").composer.box
    QTest.keyClicks(box, "typed early")
    assert box.toPlainText() == "typed early"
    await until(lambda: LOST in desktop.window.banners.keys)
    banner = desktop.window.banners.put(LOST, "error", "x", "y")
    assert banner.action is not None
    assert box.toPlainText() == "typed early"
    await desktop.end()


async def test_keys_go_to_every_page(desktop: Desktop) -> None:
    digits = (2, 3, 4, 5, 6, 7, 1)
    keys = [getattr(Qt.Key, f"Key_{digit}") for digit in digits]
    seen = []
    for key in keys:
        press(desktop, key)
        seen.append(desktop.window.page_key)
    assert seen == ["documents", "models", "machine", "costs", "settings", "help", "chats"]
    press(desktop, Qt.Key.Key_2)
    press(desktop, Qt.Key.Key_Comma)
    assert desktop.window.page_key == "settings"
    press(desktop, Qt.Key.Key_N)
    assert desktop.window.page_key == "chats"
    assert desktop.window.side_bar.button("chats").isChecked()


async def test_a_question_is_answered_as_a_stream(desktop: Desktop, server: FakeClient) -> None:
    press(desktop, Qt.Key.Key_N)
    reply = server.script_reply(["It ", "depends."], hold=True)
    page = desktop.window.page("chats")
    await until(lambda: page.conversation.chat.model_ref == QWEN.ref)
    QTest.keyClicks(page.composer.box, "Rent or own?")
    QTest.keyClick(page.composer.box, Qt.Key.Key_Return)
    await until(lambda: page.conversation.messages and page.conversation.busy)
    reply.released.set()
    await until(lambda: not page.conversation.busy)
    assert [m.content for m in page.conversation.messages] == ["Rent or own?", "It depends."]


async def test_a_lost_server_says_so_and_comes_back(desktop: Desktop, server: FakeClient) -> None:
    server.go_offline()
    await until(lambda: LOST in desktop.window.banners.keys)
    assert "not reachable" in desktop.window.strip.server.text()
    server.go_online(restarted=True)
    desktop.session.retry_now()
    await until(lambda: desktop.session.is_connected)
    assert LOST not in desktop.window.banners.keys
    assert "Server on" in desktop.window.strip.server.text()


async def test_a_notice_is_a_banner_once(desktop: Desktop, server: FakeClient) -> None:
    low = error_info(AppError("disk_full", "2 GB are left.", "Remove a model you do not use."))
    for _ in range(2):
        server.push(Notice(level="warning", error=low))
    await until(lambda: desktop.window.banners.keys)
    assert len(desktop.window.banners.keys) == 1


async def test_the_strip_follows_loads(desktop: Desktop, server: FakeClient) -> None:
    strip = desktop.window.strip
    assert strip.loading.text() == "Loading Kimi K2 Instruct · 62%"
    assert "Qwen3 30B A3B · 148 tokens/s" in strip.models.text()
    await server.unload_model("Kimi-K2-Instruct:UD-Q2_K_XL")
    await until(lambda: not strip.progress.isVisible())


async def test_first_close_explains_and_the_second_hides(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    _give_tray(desktop, monkeypatch)
    desktop.window.close()
    asked = await question(desktop)
    assert desktop.window.isVisible()
    asked.choose("keep")
    await until(lambda: not desktop.window.isVisible())
    desktop.open(Launch())
    assert desktop.window.isVisible()
    desktop.window.close()
    await until(lambda: not desktop.window.isVisible())
    assert not desktop.finished.is_set()


async def test_escape_in_the_first_question_closes_nothing(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    _give_tray(desktop, monkeypatch)
    desktop.window.close()
    QTest.keyClick(await question(desktop), Qt.Key.Key_Escape)
    await until(lambda: not desktop._leaving)
    assert desktop.window.isVisible()
    assert not desktop.finished.is_set()


async def test_without_a_tray_closing_asks_and_leaves_the_server(
    desktop: Desktop, server: FakeClient
) -> None:
    assert not desktop.tray.is_usable
    desktop.window.close()
    asked = await question(desktop)
    assert "no tray" in asked.accessibleDescription()
    asked.choose("leave")
    await until(desktop.finished.is_set)
    assert not server.server_ended


async def test_quit_can_stop_the_server(desktop: Desktop, server: FakeClient) -> None:
    desktop.tray.quit_requested.emit()
    asked = await question(desktop)
    assert "One answer is being written" in asked.accessibleDescription()
    asked.choose("stop")
    await until(desktop.finished.is_set)
    assert server.server_ended


async def test_asking_twice_shows_one_question(desktop: Desktop) -> None:
    desktop.quit()
    desktop.window.close()
    desktop.quit()
    await question(desktop)
    assert len(desktop.window.findChildren(Question)) == 1
    desktop.window.findChildren(Question)[0].reject()
    await until(lambda: not desktop._leaving)


async def test_a_tray_that_goes_brings_the_window_back(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    _give_tray(desktop, monkeypatch)
    desktop.window.hide()
    monkeypatch.undo()
    desktop.tray.look()
    assert desktop.window.isVisible()


async def test_server_off_and_on_from_the_strip(desktop: Desktop, server: FakeClient) -> None:
    desktop.window.strip.toggle_server.trigger()
    await until(lambda: "Server off" in desktop.window.strip.server.text())
    assert server.server_ended
    server.go_online(restarted=True)
    desktop.window.strip.toggle_server.trigger()
    await until(lambda: desktop.session.is_connected)


async def test_the_theme_follows_the_setting_and_is_remembered(
    desktop: Desktop, paths: Paths
) -> None:
    desktop.settings.change(theme="dark")
    assert desktop.theme.is_dark
    memory = QSettings(str(paths.state / "window.ini"), QSettings.Format.IniFormat)
    assert memory.value("window/theme") == "dark"
    desktop.settings.change(theme="light")
    assert not desktop.theme.is_dark


async def test_page_and_size_come_back(
    qapp: QApplication, paths: Paths, server: FakeClient
) -> None:
    async def connect() -> FakeClient:
        return server

    first = Desktop(qapp, paths, connect)
    first.start(Launch())
    first.window.resize(780, 600)
    first.window.go_to("settings")
    first.finished.set()
    await first.end()
    second = Desktop(qapp, paths, connect)
    assert second.window.page_key == "settings"
    assert (second.window.width(), second.window.height()) == (780, 600)
    await second.end()


async def test_a_second_launch_brings_a_file(desktop: Desktop, server: FakeClient) -> None:
    desktop.open(Launch.from_dict({"model_path": "/home/ada/llama.gguf", "hidden": False}))
    assert desktop.window.page_key == "models"
    await until(lambda: server.called("import_model"))
    await until(lambda: desktop.models.row("llama"))
    await until(lambda: desktop.window.toast.text.startswith("llama added"))


async def test_a_new_chat_with_a_model(desktop: Desktop) -> None:
    desktop.window.page("models").chat_requested.emit(GEMMA.ref)
    assert desktop.window.page_key == "chats"
    page = desktop.window.page("chats")
    await until(lambda: page.conversation.chat.model_ref == GEMMA.ref)


async def test_the_address_is_copied(desktop: Desktop) -> None:
    desktop.window.copy_address()
    assert QGuiApplication.clipboard().text() == "http://127.0.0.1:11711"


async def test_a_narrow_window_keeps_icons(desktop: Desktop) -> None:
    desktop.window.resize(760, 600)
    await until(lambda: desktop.window.side_bar.narrow)
    desktop.window.resize(1200, 700)
    await until(lambda: not desktop.window.side_bar.narrow)


async def test_every_control_of_every_page_has_a_name(desktop: Desktop) -> None:
    from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit

    nameless = []
    for key in ("models", "machine", "costs", "settings"):
        page = desktop.window.go_to(key)
        for kind in (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit):
            for control in page.findChildren(kind):
                named = control.accessibleName() or getattr(control, "text", lambda: "")()
                inside = control.objectName().startswith("qt_")
                if control.isVisible() and not named and not inside:
                    nameless.append((key, type(control).__name__))
    assert nameless == []


async def test_tab_reaches_the_side_bar_and_the_page(desktop: Desktop) -> None:
    desktop.window.go_to("models")
    reached: set[QWidget] = set()
    for _ in range(40):
        QTest.keyClick(QApplication.focusWidget() or desktop.window, Qt.Key.Key_Tab)
        focus = QApplication.focusWidget()
        if focus is not None:
            reached.add(focus)
    assert desktop.window.side_bar.button("settings") in reached
    assert desktop.window.page("models").import_button in reached
    assert desktop.window.page("models").card(GEMMA.ref).load in reached
    assert desktop.window.strip.server in reached
    QTest.keyClick(desktop.window.side_bar.button("machine"), Qt.Key.Key_Space)
    assert desktop.window.page_key == "machine"
    QTest.keyClick(desktop.window.side_bar.button("machine"), Qt.Key.Key_Space)
    assert desktop.window.side_bar.button("machine").isChecked()


def _give_tray(desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for a desktop with a tray, which the offscreen platform has not."""
    monkeypatch.setattr(
        "freehold.ui.tray.QSystemTrayIcon.isSystemTrayAvailable", staticmethod(lambda: True)
    )
    monkeypatch.setattr(type(desktop.tray.icon), "isVisible", lambda _self: True)
    desktop.tray.look()
    assert desktop.tray.is_usable


def test_data_stays_under_the_data_folder(paths: Paths) -> None:
    assert Path(paths.state).is_dir()


async def test_what_is_dropped_goes_where_it_belongs(
    desktop: Desktop, server: FakeClient, tmp_path: Path
) -> None:
    lease, model = tmp_path / "lease.txt", tmp_path / "kimi.gguf"
    lease.write_text("The rent is 4,250 euros.")
    model.write_bytes(b"GGUF")
    desktop.window.go_to("costs")
    desktop.take_dropped([str(lease), str(model)])
    assert desktop.window.page_key == "chats", "a document is asked about in a chat"
    await until(lambda: server.called("import_model") == [{"path": str(model)}])
    await until(lambda: server.called("documents.set_chat"))
    page = desktop.window.page("chats")
    await until(lambda: [i.name for i in page.side.attachments.items] == ["lease.txt"])
    documents = desktop.window.go_to("documents")
    desktop.take_dropped([str(lease)])
    assert desktop.window.page_key == "documents", "here it is added without a chat"
    await until(lambda: len(server.called("documents.add")) == 2)
    await until(lambda: len(documents.shelf.documents) == 2)
    documents.row(documents.shelf.documents[0].id).chat_button.click()
    await until(lambda: desktop.window.page_key == "chats")
    await until(lambda: len(server.called("documents.set_chat")) == 2)
