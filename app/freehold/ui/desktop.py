"""The desktop as a whole: the one place where session, window, pages and tray are joined."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from PySide6.QtCore import QObject, QSettings, QTimer
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication, QWidget

from freehold.errors import AppError
from freehold.paths import Paths, resources
from freehold.ui import leaving
from freehold.ui.chats.page import ChatsPage
from freehold.ui.costs.page import CostsPage
from freehold.ui.documents.drops import WindowDrops
from freehold.ui.documents.page import DocumentsPage
from freehold.ui.help.page import HelpPage
from freehold.ui.library.library_page import FIND, LibraryPage
from freehold.ui.machine.page import MachinePage
from freehold.ui.settings.page import SettingsPage
from freehold.ui.state.gathering import is_model
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Connect, Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.tasks import end_all, spawn
from freehold.ui.theme import Setting, Theme
from freehold.ui.tray import Tray
from freehold.ui.window import MainWindow

log = logging.getLogger(__name__)

TRAY_WAIT_MS: Final = 20_000
END_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Launch:
    """What the command line asked of the window; `model_path` is absolute."""

    hidden: bool = False
    new_chat: bool = False
    model_path: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return the launch as data for another instance."""
        return {
            "hidden": self.hidden,
            "new_chat": self.new_chat,
            "model_path": self.model_path,
        }

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> Launch:
        """Read a launch another instance sent."""
        return cls(
            hidden=data.get("hidden") is True,
            new_chat=data.get("new_chat") is True,
            model_path=str(data.get("model_path", "")),
        )


class Desktop(QObject):
    """Everything on the screen; `finished` is set when the person has quit."""

    def __init__(self, app: QApplication, paths: Paths, connect: Connect) -> None:
        super().__init__()
        self._memory = QSettings(str(paths.state / "window.ini"), QSettings.Format.IniFormat)
        remembered = str(self._memory.value("window/theme", "system"))
        setting = remembered if remembered in ("light", "dark") else "system"
        self.theme = Theme(app, setting=cast(Setting, setting), parent=self)
        self.icon = QIcon(str(resources() / "icons" / "freehold.svg"))
        app.setWindowIcon(self.icon)
        self.session = Session(connect=connect, parent=self)
        self.models = ModelsState(self.session, self)
        self.settings = SettingsState(self.session, self)
        self.finished = asyncio.Event()
        self._leaving = False
        pages = {
            "chats": self._make_chats,
            "documents": self._make_documents,
            "models": self._make_models,
            "machine": lambda: MachinePage(self.session, self.models, self.theme),
            "costs": self._make_costs,
            "settings": self._make_settings,
            "help": self._make_help,
        }
        self.window = MainWindow(
            self.session, self.models, self.theme, self.icon, pages, self._memory
        )
        self.tray = Tray(self.session, self.models, self.theme, self)
        self.drops = WindowDrops(self.window, self.theme, self._drop_words, self)
        self._connect_signals()
        self.window.restore()

    # --- coming --------------------------------------------------------------------------

    def start(self, launch: Launch) -> None:
        """Show what the launch asks for and look for the server meanwhile."""
        self.session.start()
        self.open(launch)
        if launch.hidden and not self.tray.is_usable:
            QTimer.singleShot(TRAY_WAIT_MS, self, self._show_unless_tray)

    def open(self, launch: Launch) -> None:
        """Do what a launch asks, the first or a later one."""
        if not launch.hidden:
            self.window.bring_up()
            self.window.go_to(self.window.page_key)
        if launch.new_chat:
            self.new_chat()
        if launch.model_path:
            page = cast(LibraryPage, self.window.go_to("models"))
            self._when_connected(lambda: page.import_files([launch.model_path]))

    def new_chat(self, model_ref: str = "") -> None:
        """Show an empty chat, with a model where one is named."""
        self.window.bring_up()
        page = self._chats()
        page.new_chat()
        if model_ref:
            page.conversation.update(model_ref=model_ref)

    # --- going ---------------------------------------------------------------------------

    def close_window(self) -> None:
        """Answer the person closing the window."""
        decision = leaving.decide_closing(
            keep_running=self.settings.values.keep_running_when_closed,
            tray_usable=self.tray.is_usable,
            explained=self._memory.value("window/tray_explained", "") == "yes",
        )
        if decision == "hide":
            self.window.hide()
        else:
            self._leave(decision)

    def quit(self) -> None:
        """Answer Quit, chosen by name."""
        self._leave("ask")

    def _leave(self, how: str) -> None:
        if self._leaving:
            return
        self._leaving = True
        spawn(self, self._leave_now(how), name="leave")

    async def _leave_now(self, how: str) -> None:
        try:
            if how == "explain":
                how = await self._explain()
            if how == "hide":
                self.window.hide()
            elif how:
                await self._quit(how)
        finally:
            self._leaving = False

    async def _explain(self) -> str:
        answer = await leaving.explain_tray(self.theme, self.window)
        if answer.key:
            self._memory.setValue("window/tray_explained", "yes")
        return {"keep": "hide", "quit": "ask"}.get(answer.key, "")

    async def _quit(self, how: str) -> None:
        running = sum(row.engine.running for row in self.models.loaded if row.engine)
        decision: str = leaving.decide_quitting(
            local=self.session.is_local,
            connected=self.session.is_connected,
            keep_running=self.settings.values.keep_running_when_closed,
            running=running,
            asked=how == "ask",
        )
        if decision == "ask":
            self.window.bring_up()
            if how == "strand":
                decision = (await leaving.ask_without_tray(self.theme, self.window)).key
            else:
                decision = (await leaving.ask_quit(self.theme, self.window, running)).key
        if not decision:
            return
        await self._save()
        if decision == "stop":
            await self.session.switch_off()
        self.finished.set()

    async def _save(self) -> None:
        """Keep what is typed; a server that does not answer must not hold the person up."""
        if not self.session.is_connected:
            return
        try:
            async with asyncio.timeout(END_S):
                await self._chats(show=False).save()
        except (TimeoutError, AppError) as error:
            log.warning("drafts were not saved at the end: %s", error)

    async def end(self) -> None:
        """Take everything off the screen and let go of the server."""
        self.tray.close()
        self.window.close_for_good()
        await self.session.stop()
        await end_all()
        self._memory.sync()
        self.window.deleteLater()

    # --- pages ---------------------------------------------------------------------------

    def _chats(self, *, show: bool = True) -> ChatsPage:
        return cast(ChatsPage, self.window.go_to("chats") if show else self.window.page("chats"))

    def _make_chats(self) -> QWidget:
        page = ChatsPage(self.session, self.theme)
        page.models_page_requested.connect(lambda: self.window.go_to("models"))
        page.import_requested.connect(self._import)
        page.find_requested.connect(self._find)
        return page

    def _make_documents(self) -> QWidget:
        page = DocumentsPage(self.session, self.theme)
        page.said.connect(self.window.say)
        page.chat_requested.connect(self._chat_about)
        return page

    def _chat_about(self, source: object) -> None:
        self.new_chat()
        self._chats().side.attach(source)

    def _make_models(self) -> QWidget:
        page = LibraryPage(self.session, self.models, self.settings, self.theme)
        page.chat_requested.connect(self.new_chat)
        page.said.connect(self.window.say)
        return page

    def _make_costs(self) -> QWidget:
        page = CostsPage(self.session, self.settings, self.theme)
        page.said.connect(self.window.say)
        return page

    def _make_help(self) -> QWidget:
        page = HelpPage(self.theme, str(self._memory.value("window/help_language", "")))
        page.language_chosen.connect(
            lambda language: self._memory.setValue("window/help_language", language)
        )
        return page

    def _help(self) -> None:
        """Show the manual where it speaks of the page that is shown."""
        place = self.window.page_key
        cast(HelpPage, self.window.go_to("help")).open_for(place)

    def _make_settings(self) -> QWidget:
        page = SettingsPage(self.session, self.models, self.settings, self.theme)
        page.said.connect(self.window.say)
        return page

    def _import(self) -> None:
        cast(LibraryPage, self.window.go_to("models")).choose_file()

    def _find(self) -> None:
        cast(LibraryPage, self.window.go_to("models")).go_to(FIND)

    # --- dropping ------------------------------------------------------------------------

    def _drop_words(self) -> str:
        if self.window.page_key == "documents":
            return "Drop to add to your documents"
        if self.window.page_key == "chats":
            return "Drop to add to this chat"
        return "Drop to ask about it in a chat"

    def take_dropped(self, paths: list[str]) -> None:
        """Put dropped files where they belong: models into the library, the rest into a chat."""
        models = [path for path in paths if is_model(path)]
        others = [path for path in paths if not is_model(path)]
        if models and not self.session.is_local:
            self.window.say("Models are imported by their path on the server: see the Models page.")
        elif models:
            cast(LibraryPage, self.window.go_to("models")).import_files(models)
        if others and self.window.page_key == "documents":
            cast(DocumentsPage, self.window.page("documents")).add(others)
        elif others:
            self._chats().side.add(others)

    # --- wiring --------------------------------------------------------------------------

    def _connect_signals(self) -> None:
        window, tray = self.window, self.tray
        window.new_chat_requested.connect(self.new_chat)
        window.search_requested.connect(lambda: self._chats().focus_search())
        window.help_requested.connect(self._help)
        window.close_requested.connect(self.close_window)
        window.page_shown.connect(self._on_page_shown)
        self.drops.dropped.connect(self.take_dropped)
        tray.open_requested.connect(window.bring_up)
        tray.new_chat_requested.connect(self.new_chat)
        tray.toggle_server_requested.connect(window.toggle_server)
        tray.copy_address_requested.connect(window.copy_address)
        tray.unload_requested.connect(lambda ref: spawn(self, self.models.unload(ref)))
        tray.quit_requested.connect(self.quit)
        tray.availability_changed.connect(self._on_tray_changed)
        self.settings.changed.connect(self._take_theme)
        self.session.settings_changed.connect(self._take_theme)

    def _on_page_shown(self, key: str) -> None:
        if key == "chats":
            box = self._chats(show=False).composer.box
            if box.isVisible():
                box.setFocus()

    def show_error(self, error: AppError) -> None:
        """Show an error nobody nearer has shown."""
        self.window.show_error(error)

    def _take_theme(self) -> None:
        if self.session.state is not None:
            setting = self.settings.values.theme
            self._memory.setValue("window/theme", setting)
            self.theme.use(setting)

    def _on_tray_changed(self, available: bool) -> None:
        if not available and not self.window.isVisible():
            # The tray went while the window was hidden: nobody could come back otherwise.
            self.window.bring_up()

    def _show_unless_tray(self) -> None:
        if not self.tray.is_usable and not self.window.isVisible():
            self.window.bring_up()

    def _when_connected(self, action: Callable[[], object]) -> None:
        def run() -> None:
            self.session.connected.disconnect(run)
            action()

        if self.session.is_connected:
            action()
        else:
            self.session.connected.connect(run)
