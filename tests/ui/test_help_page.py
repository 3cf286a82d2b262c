"""The Help page: the manual on the screen, its search, its two languages, F1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from PySide6.QtCore import QLocale, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from doubles.client import FakeClient
from doubles.scenes import busy_workstation
from doubles.waiting import until
from freehold.paths import user_paths
from freehold.ui.desktop import Desktop, Launch
from freehold.ui.help.page import SUBJECTS, HelpPage
from freehold.ui.side_bar import PLACES
from freehold.ui.state.manual import ORDER, Hit
from freehold.ui.theme import Theme


@pytest_asyncio.fixture
async def page(qapp: QApplication, theme: Theme) -> AsyncIterator[HelpPage]:
    page = HelpPage(theme, "en")
    page.resize(1100, 700)
    page.show()
    yield page
    page.close()
    page.deleteLater()


async def words_of(page: HelpPage) -> str:
    await until(lambda: not page._waiting)
    return " ".join(text.text for _, text in page._sections)


async def test_it_opens_on_the_first_page_with_all_listed(page: HelpPage) -> None:
    assert page.title.text() == "First steps"
    assert len(page.contents.rows) == len(ORDER)
    assert "starter model" in await words_of(page)
    page.open("kimi-k2")
    assert page.title.text() == "Kimi K2"
    assert page.contents.currentIndex().data() == "Kimi K2"


async def test_typing_searches_and_enter_opens_the_section(page: HelpPage) -> None:
    QTest.keyClicks(page.search, "gated token")
    assert all(isinstance(row, Hit) for row in page.contents.rows)
    QTest.keyClick(page.search, Qt.Key.Key_Return)
    assert page.title.text() == "Finding and downloading"
    bar = page.area.verticalScrollBar()
    await until(lambda: bar.value() > 0)
    page.search.setText("zzz")
    assert page.none.isVisible()
    page.search.clear()
    assert not page.none.isVisible()
    assert page.contents.currentIndex().data() == "Finding and downloading"


async def test_the_language_can_be_changed_on_the_same_page(page: HelpPage) -> None:
    chosen: list[str] = []
    page.language_chosen.connect(chosen.append)
    page.open("costs")
    page.languages.buttons["ru"].click()
    assert chosen == ["ru"]
    assert page.title.text() == "Мощность и расходы"
    assert page.search.placeholderText() == "Поиск в руководстве"


async def test_it_speaks_the_language_of_the_system(theme: Theme) -> None:
    before = QLocale()
    page = HelpPage(theme)
    assert page.language == ("ru" if QLocale.system().name().startswith("ru") else "en")
    assert QLocale() == before
    page.deleteLater()


async def test_a_manual_that_is_gone_is_said_plainly(theme: Theme, tmp_path: Path) -> None:
    page = HelpPage(theme, "en", tmp_path)
    assert page.title.text() == "The manual is not there."
    assert "Install Freehold again" in await words_of(page)
    page.deleteLater()


def test_every_page_of_the_window_has_its_subject() -> None:
    assert set(SUBJECTS) == {place.key for place in PLACES} - {"help"}
    assert set(SUBJECTS.values()) <= set(ORDER)


async def test_f1_opens_what_belongs_to_the_page_and_the_language_is_kept(
    qapp: QApplication, data_folder: Path
) -> None:
    paths = user_paths()
    paths.create()
    server = busy_workstation()

    async def connect() -> FakeClient:
        return server

    desktop = Desktop(qapp, paths, connect)
    desktop.start(Launch())
    await until(lambda: desktop.session.is_connected)
    desktop.window.go_to("machine")
    QTest.keyClick(desktop.window, Qt.Key.Key_F1)
    page = desktop.window.page("help")
    assert isinstance(page, HelpPage)
    assert desktop.window.page_key == "help"
    assert page.key == "machine"
    QTest.keyClick(desktop.window, Qt.Key.Key_F1)
    assert page.key == "machine"
    page.languages.buttons["ru"].click()
    assert desktop._make_help().language == "ru"  # type: ignore[attr-defined]
    await desktop.end()
