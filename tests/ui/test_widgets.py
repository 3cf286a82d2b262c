"""The window's own widgets."""

from __future__ import annotations

import asyncio

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton, QToolButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from doubles.waiting import until
from freehold.paths import resources
from freehold.ui.icons import pixmap, set_icon, themed_icon
from freehold.ui.theme import Theme
from freehold.ui.widgets.banner import BannerStack
from freehold.ui.widgets.cards import KeyValue, SettingRow
from freehold.ui.widgets.empty_state import EmptyState
from freehold.ui.widgets.labels import ElidedLabel, set_role, text_label
from freehold.ui.widgets.question import Choice, Question, ask
from freehold.ui.widgets.switch import Switch
from freehold.ui.widgets.toast import Toast

ICONS = sorted(path.stem for path in (resources() / "icons" / "ui").glob("*.svg"))


@pytest.mark.parametrize("name", ICONS)
def test_every_icon_draws_something_in_the_colour_asked(qapp: object, name: str) -> None:
    image = pixmap(name, "#ff0000", 24, 2.0).toImage()
    assert (image.width(), image.height()) == (48, 48)
    opaque = [
        image.pixelColor(x, y)
        for x in range(48)
        for y in range(48)
        if image.pixelColor(x, y).alpha() > 250
    ]
    assert len(opaque) > 20
    assert all(color.red() > 240 and color.green() + color.blue() < 8 for color in opaque)


def test_a_buttons_icon_follows_the_theme(qtbot: QtBot, theme: Theme) -> None:
    button = QToolButton()
    qtbot.addWidget(button)
    set_icon(button, theme, "plus", "text")
    light = button.icon().cacheKey()
    theme.use("dark")
    assert button.icon().cacheKey() != light
    assert button.icon().cacheKey() == themed_icon(theme, "plus", "text").cacheKey()
    set_icon(button, theme, "close", "text")
    theme.use("light")
    assert button.icon().cacheKey() == themed_icon(theme, "close", "text").cacheKey()


def test_a_deleted_button_does_not_hear_the_theme(qtbot: QtBot, theme: Theme) -> None:
    holder = QWidget()
    qtbot.addWidget(holder)
    button = QPushButton(holder)
    set_icon(button, theme, "plus")
    del button
    for child in holder.findChildren(QPushButton):
        child.deleteLater()
    qtbot.waitUntil(lambda: not holder.findChildren(QPushButton))
    theme.use("dark")


def test_a_long_text_is_elided_and_told_in_full(qtbot: QtBot) -> None:
    label = ElidedLabel("a very long name of a model that does not fit here at all")
    qtbot.addWidget(label)
    label.resize(80, 20)
    label.show()
    assert label.shown_text().endswith("…")
    assert label.text() in label.toolTip()
    label.resize(900, 20)
    qtbot.waitUntil(lambda: label.toolTip() == "")
    assert label.shown_text() == label.text()


def test_labels_never_read_html(qtbot: QtBot, theme: Theme) -> None:
    label = text_label("<img src='file:///etc/passwd'><b>x</b>")
    qtbot.addWidget(label)
    assert label.textFormat() == Qt.TextFormat.PlainText


def test_banners_are_shown_once_and_dismissed(qtbot: QtBot, theme: Theme) -> None:
    stack = BannerStack(theme)
    qtbot.addWidget(stack)
    pressed: list[str] = []
    stack.put("a", "error", "It broke.", "Mend it.", action=("Mend", lambda: pressed.append("a")))
    again = stack.put("a", "error", "It broke again.", "Mend it.")
    assert stack.keys == ("a",)
    assert again.title.text() == "It broke again."
    assert "again" in again.accessibleName()
    assert again.action is not None
    again.action.click()
    assert pressed == ["a"]
    again.dismissed.emit()
    assert stack.keys == ()


def test_the_oldest_banner_goes_when_there_are_too_many(qtbot: QtBot, theme: Theme) -> None:
    stack = BannerStack(theme)
    qtbot.addWidget(stack)
    for key in "abcd":
        stack.put(key, "info", key, "")
    assert stack.keys == ("b", "c", "d")


def test_a_toast_stays_inside_its_window(qtbot: QtBot, theme: Theme) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(400, 300)
    window.show()
    toast = Toast(theme, window)
    toast.say("A long message that has to be wrapped over several lines " * 3, kind="error")
    assert toast.isVisible()
    assert window.rect().contains(toast.geometry())
    window.resize(360, 280)
    qtbot.waitUntil(lambda: window.rect().contains(toast.geometry()))
    toast.findChild(QToolButton).click()
    assert not toast.isVisible()


def test_an_empty_state_never_cuts_its_text(qtbot: QtBot, theme: Theme) -> None:
    state = EmptyState(theme, "models", "Nothing", "many words " * 40)
    qtbot.addWidget(state)
    state.resize(700, 600)
    state.show()
    words = state._words
    qtbot.waitUntil(lambda: words.height() >= words.heightForWidth(words.width()))


def test_a_switch_is_a_check_box_for_keys_and_mouse(qtbot: QtBot, theme: Theme) -> None:
    switch = Switch(theme, "Keep running")
    qtbot.addWidget(switch)
    switch.show()
    switch.setFocus()
    QTest.keyClick(switch, Qt.Key.Key_Space)
    assert switch.isChecked()
    QTest.mouseClick(switch, Qt.MouseButton.LeftButton)
    assert not switch.isChecked()
    assert switch.accessibleName() == "Keep running"


def test_key_values_keep_their_row(qtbot: QtBot) -> None:
    facts = KeyValue()
    qtbot.addWidget(facts)
    facts.set("Disk", "1 GB")
    facts.set("Disk", "2 GB")
    assert facts.value("Disk") == "2 GB"


def test_a_setting_row_names_its_problem(qtbot: QtBot, theme: Theme) -> None:
    row = SettingRow("Port", "", Switch(theme, "x"))
    qtbot.addWidget(row)
    row.show()
    row.show_problem("No.")
    assert row.error.isVisible()
    row.show_problem("")
    assert not row.error.isVisible()


def test_set_role_changes_the_look(qtbot: QtBot, theme: Theme) -> None:
    label = text_label("x", "chip")
    qtbot.addWidget(label)
    label.show()
    before = label.palette().windowText().color()
    set_role(label, "role", "danger")
    assert label.palette().windowText().color() != before


async def test_a_question_is_awaited_and_leaves_nothing(theme: Theme) -> None:
    parent = QWidget()
    QVBoxLayout(parent)
    parent.show()
    choices = (Choice("", "Cancel", "quiet"), Choice("yes", "Yes", "primary"))
    asking = asyncio.ensure_future(ask(theme, parent, "Sure?", "Really.", choices, tick="Again"))
    await until(lambda: parent.findChildren(Question))
    dialog = parent.findChildren(Question)[0]
    dialog.tick.setChecked(True)
    QTest.keyClick(dialog, Qt.Key.Key_Return)
    answer = await asking
    assert (answer.key, answer.ticked) == ("yes", True)
    await until(lambda: not parent.findChildren(Question))
    parent.close()
    parent.deleteLater()


async def test_a_cancelled_question_closes(theme: Theme) -> None:
    parent = QWidget()
    parent.show()
    asking = asyncio.ensure_future(ask(theme, parent, "Sure?", "", (Choice("yes", "Yes"),)))
    await until(lambda: parent.findChildren(Question))
    asking.cancel()
    await until(lambda: not parent.findChildren(Question))
    assert asking.cancelled()
    parent.close()
    parent.deleteLater()
