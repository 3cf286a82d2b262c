"""The main window: side bar, pages, banners and the status strip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from PySide6.QtCore import QByteArray, QSettings, Qt, Signal
from PySide6.QtGui import QCloseEvent, QGuiApplication, QIcon, QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.side_bar import PLACES, SideBar
from freehold.ui.state.models import ModelsState
from freehold.ui.state.server import server_status
from freehold.ui.state.session import Session
from freehold.ui.status_strip import StatusStrip
from freehold.ui.tasks import spawn
from freehold.ui.theme import Theme
from freehold.ui.widgets.banner import BannerStack
from freehold.ui.widgets.toast import Toast
from freehold.wire import Notice

FIRST_SIZE: Final = (1240, 820)
LEAST_SIZE: Final = (720, 520)
NARROW_BELOW: Final = 1000
LOST: Final = "lost"

MakePage = Callable[[], QWidget]


class MainWindow(QMainWindow):
    """The frame around the pages.

    Signals:
        new_chat_requested: Ctrl+N, from any page.
        search_requested: Ctrl+K, from any page.
        help_requested: F1, from any page.
        close_requested: the person closes the window; whoever listens hides or quits.
        page_shown(key): another page is in front, and has the focus.
    """

    new_chat_requested = Signal()
    search_requested = Signal()
    help_requested = Signal()
    close_requested = Signal()
    page_shown = Signal(str)

    def __init__(
        self,
        session: Session,
        models: ModelsState,
        theme: Theme,
        icon: QIcon,
        pages: Mapping[str, MakePage],
        memory: QSettings,
    ) -> None:
        """Build the window; `pages` makes each page when it is first shown."""
        super().__init__()
        self._session, self._models, self._theme = session, models, theme
        self._make_page, self._memory = dict(pages), memory
        self._pages: dict[str, QWidget] = {}
        self._may_close = False
        self.setWindowTitle("Freehold")
        self.setWindowIcon(icon)
        self.setMinimumSize(*LEAST_SIZE)
        self.side_bar = SideBar(theme, icon)
        self.side_bar.chosen.connect(self.go_to)
        self.banners = BannerStack(theme)
        self.stack = QStackedWidget()
        self.strip = StatusStrip(session, models, theme)
        self.toast = Toast(theme, self)
        self._lay_out()
        self._bind_keys()
        self.strip.copy_address.triggered.connect(self.copy_address)
        self.strip.toggle_server.triggered.connect(self.toggle_server)
        session.connected.connect(self._on_connected)
        session.disconnected.connect(self._on_disconnected)
        session.notice_received.connect(self._on_notice)
        session.error_raised.connect(self.show_error)

    # --- pages ---------------------------------------------------------------------------

    def go_to(self, key: str) -> QWidget:
        """Show a page, making it the first time; return it."""
        page = self.page(key)
        self.stack.setCurrentWidget(page)
        self.side_bar.show_chosen(key)
        self._rest_focus(page)
        self._memory.setValue("window/page", key)
        self.page_shown.emit(key)
        return page

    def page(self, key: str) -> QWidget:
        """Return a page, making it the first time, without showing it."""
        if key not in self._pages:
            self._pages[key] = self._make_page[key]()
            self.stack.addWidget(self._pages[key])
        return self._pages[key]

    @property
    def page_key(self) -> str:
        """Return which page is shown."""
        return next(key for key, page in self._pages.items() if page is self.stack.currentWidget())

    # --- messages ------------------------------------------------------------------------

    def show_error(self, error: AppError) -> None:
        """Show the error of an action; the words stay ten seconds."""
        self.toast.say(error.sentence, kind="error")

    def say(self, text: str) -> None:
        """Confirm that something was done."""
        self.toast.say(text)

    def copy_address(self) -> None:
        """Put the server's address on the clipboard."""
        address = server_status(self._session, self._models).address
        if address:
            QGuiApplication.clipboard().setText(address)
            self.say(f"{address} copied.")

    def toggle_server(self) -> None:
        """Switch the server off, or on again."""
        if self._session.is_connected:
            spawn(self, self._switch_off(), name="switch the server off")
        else:
            self._session.retry_now()

    async def _switch_off(self) -> None:
        await self._session.switch_off()
        self.say("The server is off. Other programs cannot reach your models now.")

    # --- coming and going ----------------------------------------------------------------

    def restore(self) -> None:
        """Bring back the geometry and the page of last time."""
        geometry = self._memory.value("window/geometry")
        if not (isinstance(geometry, QByteArray) and self.restoreGeometry(geometry)):
            self.resize(*FIRST_SIZE)
        page = str(self._memory.value("window/page", "chats"))
        self.go_to(page if page in self._make_page else "chats")

    def bring_up(self) -> None:
        """Show the window before the others, wherever it was."""
        if self.isMinimized():
            self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    def close_for_good(self) -> None:
        """Close without asking."""
        self._may_close = True
        self.close()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._memory.setValue("window/geometry", self.saveGeometry())
        if self._may_close:
            event.accept()
            return
        event.ignore()
        self.close_requested.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.side_bar.set_narrow(self.width() < NARROW_BELOW)

    # --- inside --------------------------------------------------------------------------

    def _lay_out(self) -> None:
        right = QVBoxLayout()
        right.setContentsMargins(0, 0, 0, 0)
        right.setSpacing(0)
        right.addWidget(self.banners)
        right.addWidget(self.stack, 1)
        upper = QHBoxLayout()
        upper.setContentsMargins(0, 0, 0, 0)
        upper.setSpacing(0)
        upper.addWidget(self.side_bar)
        upper.addLayout(right, 1)
        self._body = body = QWidget()
        body.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(upper, 1)
        column.addWidget(self.strip)
        self.setCentralWidget(body)

    def _bind_keys(self) -> None:
        def bind(keys: str, action: Callable[[], object]) -> None:
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.activated.connect(lambda: action())

        for number, place in enumerate(PLACES, start=1):
            bind(f"Ctrl+{number}", partial(self.go_to, place.key))
        bind("Ctrl+,", lambda: self.go_to("settings"))
        bind("Ctrl+N", self.new_chat_requested.emit)
        bind("Ctrl+K", self.search_requested.emit)
        bind("F1", self.help_requested.emit)

    def _rest_focus(self, page: QWidget) -> None:
        """Take the focus off the side bar: to the page, or to nothing that shows a ring."""
        takes = page.focusPolicy() != Qt.FocusPolicy.NoFocus
        (page if takes else self._body).setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_connected(self) -> None:
        self.banners.take(LOST)

    def _on_disconnected(self, error: AppError) -> None:
        self.banners.take(LOST)
        if self._session.is_paused:
            self.banners.put(
                LOST,
                "info",
                "The server is off.",
                "Chats and models come back when it is on; what you type is kept.",
                action=("Switch on", self._session.retry_now),
                dismissable=False,
            )
            return
        self.banners.put(
            LOST,
            "error",
            error.message,
            error.hint or "It is tried again by itself; what you type is kept.",
            action=("Try now", self._session.retry_now),
            dismissable=False,
        )

    def _on_notice(self, notice: Notice) -> None:
        error = notice.error
        self.banners.put(f"{error.code}: {error.message}", notice.level, error.message, error.hint)
