"""The Models page: what it shows and what its buttons ask for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

from doubles.client import FakeClient
from doubles.scenes import BROKEN, GEMMA, KIMI, QWEN
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.library.library_page import LibraryPage
from freehold.ui.library.model_card import state_text
from freehold.ui.library.page import ModelsPage, removal_question
from freehold.ui.state.models import ModelRow, ModelsState
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.theme import Theme
from freehold.ui.widgets.question import Question
from freehold.wire import Changed, EngineState
from freehold.wire_files import DuplicateGroup, Duplicates, ModelCopy


@pytest_asyncio.fixture
async def page(session: Session, theme: Theme) -> AsyncIterator[ModelsPage]:
    models = ModelsState(session, session)
    page = ModelsPage(session, models, SettingsState(session, session), theme)
    page.resize(900, 700)
    page.show()
    yield page
    page.close()
    page.deleteLater()


def shown(card: QWidget) -> list[str]:
    """Return the texts of the buttons a person sees on a card."""
    return [b.text() for b in card.findChildren(QAbstractButton) if b.isVisible() and b.text()]


async def test_each_condition_offers_what_can_be_done(page: ModelsPage) -> None:
    assert shown(page.card(GEMMA.ref)) == ["New chat", "Load"]
    assert shown(page.card(KIMI.ref)) == ["Cancel"]
    assert shown(page.card(QWEN.ref)) == ["New chat", "Unload"]
    assert shown(page.card(BROKEN.ref)) == []
    assert page.card(QWEN.ref).default.isVisible()
    assert page.card(KIMI.ref).progress.value() == 620


async def test_an_unusable_model_shows_cause_and_next_step(page: ModelsPage) -> None:
    card = page.card(BROKEN.ref)
    assert card.problem.isVisible()
    assert "ends early" in card.problem.text()
    assert "fetch the file again" in card.next_step.text()


async def test_load_shows_progress_and_then_loaded(
    page: ModelsPage, workstation: FakeClient
) -> None:
    workstation.hold_loads = True
    page.card(GEMMA.ref).load.click()
    await until(lambda: page.card(GEMMA.ref).state.text() == "Loading · 75%")
    workstation.release_loads()
    await until(lambda: page.card(GEMMA.ref).state.text().startswith("Loaded"))
    assert shown(page.card(GEMMA.ref)) == ["New chat", "Unload"]


async def test_cancelling_a_load_unloads(page: ModelsPage, workstation: FakeClient) -> None:
    page.card(KIMI.ref).unload.click()
    await until(lambda: page.card(KIMI.ref).state.text() == "On disk")
    assert workstation.called("unload_model") == [{"ref": KIMI.ref}]


async def test_a_failed_load_says_why_and_offers_another_try(
    page: ModelsPage, workstation: FakeClient
) -> None:
    workstation.fail_load(
        GEMMA.ref, AppError("does_not_fit", "It needs 9 GB, 6 GB are free.", "Use less context.")
    )
    page.card(GEMMA.ref).load.click()
    card = page.card(GEMMA.ref)
    await until(lambda: card.state.text() == "Could not be loaded")
    assert "9 GB" in card.problem.text()
    assert "less context" in card.next_step.text()
    assert shown(card) == ["Try again"]


async def test_importing_adds_a_card_and_confirms(page: ModelsPage) -> None:
    said: list[str] = []
    page.said.connect(said.append)
    page.import_files(["/home/ada/new-model.gguf"])
    await until(lambda: said)
    assert said == ["new-model added (4.68 GB)."]
    await until(lambda: "new-model" in page.cards.cards)


async def test_a_file_that_is_no_model_says_so_and_the_others_go_on(page: ModelsPage) -> None:
    page.import_files(["/home/ada/letter.pdf", "/home/ada/good.gguf"])
    await until(lambda: "good" in page.cards.cards)
    assert page.problems.keys == ("/home/ada/letter.pdf",)


async def test_removing_asks_and_keeps_files_that_are_not_ours(
    page: ModelsPage, workstation: FakeClient
) -> None:
    said: list[str] = []
    page.said.connect(said.append)
    page.card(GEMMA.ref).remove_action.trigger()
    await until(lambda: page.findChildren(Question))
    dialog = page.findChildren(Question)[0]
    dialog.choose("remove")
    await until(lambda: said)
    assert workstation.called("remove_model") == [{"ref": GEMMA.ref, "delete_files": False}]
    assert said == ["Gemma 4 12B removed. Its files stay where they are."]
    await until(lambda: GEMMA.ref not in page.cards.cards)


async def test_deleting_says_the_bytes_freed(page: ModelsPage, workstation: FakeClient) -> None:
    said: list[str] = []
    page.said.connect(said.append)
    page.card(QWEN.ref).remove_action.trigger()
    await until(lambda: page.findChildren(Question))
    page.findChildren(Question)[0].choose("delete")
    await until(lambda: said)
    assert said == ["Qwen3 30B A3B removed. 18.6 GB freed."]


async def test_closing_the_question_removes_nothing(
    page: ModelsPage, workstation: FakeClient
) -> None:
    page.card(GEMMA.ref).remove_action.trigger()
    await until(lambda: page.findChildren(Question))
    page.findChildren(Question)[0].reject()
    await until(lambda: not page.findChildren(Question))
    assert workstation.called("remove_model") == []


def test_the_question_names_bytes_only_for_our_own_downloads() -> None:
    text, choices = removal_question(ModelRow(QWEN, None, False))
    assert "18.6 GB" in text
    assert [c.key for c in choices] == ["cancel", "remove", "delete"]
    text, choices = removal_question(ModelRow(KIMI, None, False))
    assert "stay where they are" in text
    assert [c.key for c in choices] == ["cancel", "remove"]


async def test_making_a_model_the_default(page: ModelsPage, workstation: FakeClient) -> None:
    page.card(GEMMA.ref)._default_action.trigger()
    await until(lambda: page.card(GEMMA.ref).default.isVisible())
    assert not page.card(QWEN.ref).default.isVisible()
    await until(lambda: workstation.stored_settings.default_model_ref == GEMMA.ref)


async def test_a_dropped_file_is_imported(page: ModelsPage, workstation: FakeClient) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/home/ada/dropped.gguf"), QUrl("https://example.org/x")])
    place, copy = QPointF(50, 50), Qt.DropAction.CopyAction
    button, no_key = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(place.toPoint(), copy, data, button, no_key)
    QApplication.sendEvent(page, enter)
    assert page.drop_hint.isVisible()
    QApplication.sendEvent(page, QDropEvent(place, copy, data, button, no_key))
    assert not page.drop_hint.isVisible()
    await until(lambda: workstation.called("import_model"))
    assert workstation.called("import_model") == [{"path": "/home/ada/dropped.gguf"}]
    await until(lambda: "dropped" in page.cards.cards)


async def test_an_empty_library_teaches(theme: Theme) -> None:
    client = FakeClient()
    session = Session(client, retry_s=(0.01,))
    models = ModelsState(session, session)
    page = ModelsPage(session, models, SettingsState(session, session), theme)
    page.show()
    assert page.waiting.isVisible()
    session.start()
    await until(lambda: page.empty.isVisible())
    assert not page.list.isVisible()
    await client.import_model("/m/first.gguf")
    await until(lambda: page.list.isVisible())
    page.close()
    page.deleteLater()
    await session.stop()


async def many(page: ModelsPage, workstation: FakeClient, count: int) -> None:
    """Let the server have `count` more models."""
    for number in range(count):
        ref = f"m{number:03}"
        workstation.models[ref] = msgspec.structs.replace(GEMMA, ref=ref, name=f"A {number:03}")
    workstation.push(Changed(topic="models"))
    await until(lambda: len(page._models.rows) == 4 + count)
    await settled(page)


async def settled(page: ModelsPage) -> None:
    await asyncio.sleep(0)
    QApplication.processEvents()
    page.cards.place()


def seen(page: ModelsPage) -> list[str]:
    """Return the names of the cards on the screen, from top to bottom."""
    viewport = page.list.viewport()
    cards = [
        (card.mapTo(viewport, QPoint(0, 0)).y(), card.name.text(), card.height())
        for card in page.cards.cards.values()
        if card.isVisible()
    ]
    shown = [
        (top, name) for top, name, height in cards if top + height > 0 and top < viewport.height()
    ]
    return [name for _, name in sorted(shown)]


async def test_only_cards_near_the_screen_exist(page: ModelsPage, workstation: FakeClient) -> None:
    await many(page, workstation, 500)
    names = [page._models.row(ref).entry.name for ref in page.cards.keys]
    assert names == sorted(names, key=str.casefold)
    assert len(page.cards.cards) < 30
    assert seen(page)[0] == "A 000"
    widgets = len(page.findChildren(QWidget))
    bar = page.list.verticalScrollBar()
    for place in (bar.maximum() // 3, bar.maximum(), bar.maximum() // 2, 0):
        bar.setValue(place)
        await settled(page)
        shown = seen(page)
        assert len(shown) >= 5
        assert shown == sorted(shown), "in order, none missing"
        start = names.index(shown[0])
        assert names[start : start + len(shown)] == shown
    assert len(page.cards.cards) < 40
    assert len(page.findChildren(QWidget)) < widgets * 2


async def test_the_last_model_can_be_reached_and_used(
    page: ModelsPage, workstation: FakeClient
) -> None:
    await many(page, workstation, 300)
    page.card(QWEN.ref).unload.click()
    await until(lambda: page.card(QWEN.ref).state.text() == "On disk")
    assert QWEN.name in seen(page)
    bar = page.list.verticalScrollBar()
    bar.setValue(bar.maximum())
    await settled(page)
    bottom = page.cards.mapTo(page.list.viewport(), QPoint(0, page.cards.height())).y()
    assert bottom <= page.list.viewport().height()


async def test_a_card_with_the_focus_stays(page: ModelsPage, workstation: FakeClient) -> None:
    await many(page, workstation, 300)
    page.activateWindow()
    card = page.card("m001")
    card.load.setFocus()
    assert QApplication.focusWidget() is card.load
    page.list.verticalScrollBar().setValue(10_000)
    await settled(page)
    assert page.cards.cards["m001"] is card
    assert card.ref == "m001"


async def test_the_tab_key_goes_down_the_list(page: ModelsPage, workstation: FakeClient) -> None:
    await many(page, workstation, 200)
    bar = page.list.verticalScrollBar()
    for place in (bar.maximum() // 2, 0):  # cards were filled anew, in another order
        bar.setValue(place)
        await settled(page)
    page.activateWindow()
    page.card("m000").chat.setFocus()
    visited = []
    for _ in range(40):
        widget = QApplication.focusWidget()
        assert widget is not None
        visited += [ref for ref, c in page.cards.cards.items() if c.isAncestorOf(widget)]
        QTest.keyClick(widget, Qt.Key.Key_Tab)
        await settled(page)
    assert visited == sorted(visited)
    assert len(set(visited)) >= 10


async def test_a_theme_costs_the_same_with_five_hundred_models(
    page: ModelsPage, workstation: FakeClient, theme: Theme
) -> None:
    await many(page, workstation, 20)
    few = _switches(theme)
    for number in range(20, 500):
        ref = f"m{number:03}"
        workstation.models[ref] = msgspec.structs.replace(GEMMA, ref=ref, name=f"A {number:03}")
    workstation.push(Changed(topic="models"))
    await until(lambda: len(page._models.rows) == 504)
    await settled(page)
    assert _switches(theme) < few * 2.5


def _switches(theme: Theme) -> float:
    """Return the CPU seconds of a few changes of the theme."""
    began = time.process_time()
    for name in ("dark", "light", "dark", "light"):
        theme.use(name)
        QApplication.processEvents()
    return time.process_time() - began


async def test_every_control_has_a_name(page: ModelsPage) -> None:
    nameless = [
        button
        for button in page.findChildren(QAbstractButton)
        if button.isVisible() and not (button.accessibleName() or button.text())
    ]
    assert nameless == []
    assert page.card(GEMMA.ref).load.accessibleName() == "Load Gemma 4 12B"


async def test_copying_the_path(page: ModelsPage) -> None:
    page._copy_path(GEMMA.ref)
    assert QGuiApplication.clipboard().text() == GEMMA.path


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        (None, "On disk"),
        (EngineState(ref="x", phase="unloading"), "Unloading"),
        (EngineState(ref="x", phase="failed"), "Could not be loaded"),
        (EngineState(ref="x", phase="ready"), "Loaded"),
        (EngineState(ref="x", phase="loading", fraction=0.5), "Loading · 50%"),
    ],
)
def test_state_text(engine: EngineState | None, text: str) -> None:
    assert state_text(ModelRow(GEMMA, engine, False))[0] == text


async def test_duplicates_say_what_deleting_frees(session: Session, theme: Theme) -> None:
    client = session.client
    assert isinstance(client, FakeClient)
    copies = (
        ModelCopy(ref=QWEN.ref, path=QWEN.path, origin="downloaded", frees=18_600_000_000),
        ModelCopy(ref="qwen:latest", path="/o/blob", origin="Ollama", frees=18_600_000_000),
    )
    group = DuplicateGroup(bytes=18_600_000_000, copies=copies)
    client.files.found_duplicates = Duplicates(groups=(group,), left_bytes=5_000_000)
    page = LibraryPage(
        session, ModelsState(session, session), SettingsState(session, session), theme
    )
    page.resize(900, 700)
    page.show()
    page.duplicates_button.click()
    dialog = page.duplicates
    await until(lambda: "5.00 MB are still to be read" in dialog.words.text())
    assert list(dialog.buttons) == [QWEN.ref], "what belongs to others is deleted there"
    client.files.found_duplicates = Duplicates(groups=(group,))
    dialog.refresh()
    await until(lambda: dialog.words.text().startswith("18.6 GB are taken more than once"))
    dialog.buttons[QWEN.ref].click()
    await until(lambda: page.findChildren(Question))
    page.findChildren(Question)[0].choose("delete")
    await until(lambda: client.called("remove_model"))
    dialog.accept()
    page.close()
    page.deleteLater()
