"""The Settings page: what it shows, stores and says when it cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit

from doubles.client import FakeClient
from doubles.scenes import GEMMA, QWEN
from doubles.waiting import until
from freehold.ui.settings import autostart
from freehold.ui.settings.page import SettingsPage
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.theme import Theme


@pytest_asyncio.fixture
async def page(session: Session, theme: Theme) -> AsyncIterator[SettingsPage]:
    models, settings = ModelsState(session, session), SettingsState(session, session)
    page = SettingsPage(session, models, settings, theme)
    page.resize(900, 760)
    page.show()
    await until(lambda: page.key.field.text())
    yield page
    page.close()
    page.deleteLater()


async def test_values_of_the_server_are_shown(page: SettingsPage) -> None:
    assert page.theme_box.currentData() == "system"
    assert page.default_model.currentData() == QWEN.ref
    assert (page.idle.value(), page.port.value()) == (30, 11711)
    assert page.keep.isChecked()
    assert page.url.field.text() == "http://127.0.0.1:11711/v1"
    assert page.facts.value("Data folder") == "/home/ada/.local/share/freehold"


async def test_the_key_is_hidden_until_asked_and_can_be_copied(page: SettingsPage) -> None:
    field = page.key.field
    assert field.echoMode() == QLineEdit.EchoMode.Password
    assert "fh-" not in field.displayText()
    page.key.copy.click()
    assert QGuiApplication.clipboard().text().startswith("fh-")
    assert page.key.reveal is not None
    page.key.reveal.click()
    assert field.displayText().startswith("fh-")
    page.key.reveal.click()
    assert "fh-" not in field.displayText()


async def test_choosing_a_default_model_stores_it(
    page: SettingsPage, workstation: FakeClient
) -> None:
    index = page.default_model.findData(GEMMA.ref)
    page.default_model.setCurrentIndex(index)
    page.default_model.activated.emit(index)
    await until(lambda: workstation.stored_settings.default_model_ref == GEMMA.ref)


async def test_switches_store_at_once(page: SettingsPage, workstation: FakeClient) -> None:
    QTest.mouseClick(page.keep, Qt.MouseButton.LeftButton)
    await until(lambda: not workstation.stored_settings.keep_running_when_closed)
    page.api.setFocus()
    QTest.keyClick(page.api, Qt.Key.Key_Space)
    await until(lambda: not workstation.stored_settings.api_enabled)


async def test_a_number_is_stored_when_typing_ends(
    page: SettingsPage, workstation: FakeClient
) -> None:
    page.idle.setFocus()
    page.idle.selectAll()
    QTest.keyClicks(page.idle, "5")
    assert workstation.called("save_settings") == []
    QTest.keyClick(page.idle, Qt.Key.Key_Return)
    await until(lambda: workstation.stored_settings.idle_unload_minutes == 5)


async def test_zero_minutes_reads_never(page: SettingsPage) -> None:
    page.idle.setValue(0)
    assert page.idle.text() == "Never"
    assert "no" not in page.idle.suffix()


async def test_the_prompt_is_stored_after_a_pause(
    page: SettingsPage, workstation: FakeClient
) -> None:
    page.prompt.setFocus()
    QTest.keyClicks(page.prompt, "Be brief.")
    await until(lambda: workstation.stored_settings.default_system_prompt == "Be brief.")
    assert len(workstation.called("save_settings")) == 1


async def test_the_prompt_is_stored_when_the_page_is_left(
    page: SettingsPage, workstation: FakeClient
) -> None:
    page.prompt.setPlainText("Answer in French.")
    page.hide()
    await until(lambda: workstation.stored_settings.default_system_prompt == "Answer in French.")


async def test_a_refused_value_says_why_beside_it_and_goes_back(
    page: SettingsPage, workstation: FakeClient
) -> None:
    page.port.setFocus()
    page.port.setRange(1, 65535)
    page.port.setValue(80)
    page.port.editingFinished.emit()
    row = page._rows["port"]
    await until(lambda: row.error.isVisible())
    assert "Port 80 cannot be used" in row.error.text()
    await until(lambda: page.port.value() == 11711)
    assert workstation.stored_settings.port == 11711
    page.port.setValue(12000)
    page.port.editingFinished.emit()
    await until(lambda: not row.error.isVisible())


async def test_start_at_login_writes_the_entry(page: SettingsPage, workstation: FakeClient) -> None:
    assert not page.login.isChecked()
    QTest.mouseClick(page.login, Qt.MouseButton.LeftButton)
    await until(lambda: autostart.is_enabled())
    await until(lambda: workstation.stored_settings.start_at_login)
    QTest.mouseClick(page.login, Qt.MouseButton.LeftButton)
    await until(lambda: not autostart.entry_path().exists())


async def test_a_folder_that_cannot_be_written_says_so(
    page: SettingsPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    QTest.mouseClick(page.login, Qt.MouseButton.LeftButton)
    row = page._rows["start_at_login"]
    await until(lambda: row.error.isVisible())
    assert "cannot be changed" in row.error.text()
    assert not page.login.isChecked()


async def test_the_wheel_scrolls_the_page_and_not_the_values(page: SettingsPage) -> None:
    from PySide6.QtCore import QPoint, QPointF
    from PySide6.QtGui import QWheelEvent
    from PySide6.QtWidgets import QApplication

    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(5, 5),
        QPoint(0, 0),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    before = page.port.value()
    QApplication.sendEvent(page.port, event)
    QApplication.sendEvent(page.theme_box, event)
    assert page.port.value() == before
    assert page.theme_box.currentData() == "system"
