"""The window's process: Qt, its asyncio loop, one instance, the server found or started."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

import qasync
from PySide6.QtCore import QMessageLogContext, QSocketNotifier, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication, QMessageBox

from freehold import __version__
from freehold.client.discovery import connect_remote, ensure_server
from freehold.client.protocol import Client
from freehold.errors import AppError, internal
from freehold.paths import Paths
from freehold.secrets import read_key
from freehold.ui.desktop import Desktop, Launch
from freehold.ui.garbage import GarbageCollector
from freehold.ui.single_instance import SingleInstance
from freehold.wire import ErrorInfo, Notice

log = logging.getLogger(__name__)

LOG_BYTES: Final = 2_000_000
LEVELS: Final = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}


class ServerLine:
    """How the session gets its client: this user's server, or one named by its address."""

    def __init__(self, paths: Paths, address: str = "") -> None:
        self._paths, self._address = paths, address
        # Held so that a server this window started is reaped when it ends.
        self._process: subprocess.Popen[bytes] | None = None
        self.warning: AppError | None = None

    async def connect(self) -> Client:
        """Return a client of a server that has proven itself."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        if self._address:
            key = read_key(self._paths.key_file)
            if key is None:
                raise AppError(
                    "unauthorized",
                    f"No key is known for {self._address}.",
                    "Set FREEHOLD_KEY to the key shown in that server's settings.",
                )
            connection = await connect_remote(self._address, key.value)
        else:
            connection = await ensure_server(self._paths)
        if connection.process is not None:
            self._process = connection.process
        self.warning = connection.warning
        return connection.client

    def forget(self) -> None:
        """Let the server go on by itself when this process ends."""
        if self._process is not None and self._process.poll() is None:
            # It outlives us on purpose; without this Python warns of a child still running.
            self._process.returncode = 0


def run(paths: Paths, launch: Launch, *, address: str = "") -> int:
    """Open the window, or raise the one that is open; return the exit status."""
    check_screen()
    check_address(address)
    app = make_application()
    try:
        instance = take_place(paths, launch, address)
    except AppError as error:
        if not sys.stderr.isatty() and app.platformName() in ("xcb", "wayland"):
            show_failure(error)  # started from a menu: nobody reads the standard error
        raise
    if instance is None:
        return 0
    line = ServerLine(paths, address)
    collector = GarbageCollector()
    try:
        with qasync.QEventLoop(app) as loop:
            loop.run_until_complete(_live(app, paths, launch, instance, line))
    finally:
        collector.close()
        instance.release()
        line.forget()
    return 0


def take_place(paths: Paths, launch: Launch, address: str = "") -> SingleInstance | None:
    """Become the one window of a server; None when the one there is took the launch over."""
    paths.create()
    open_log(paths)
    instance = SingleInstance(paths.state, address.rstrip("/"))
    if instance.acquire():
        return instance
    instance.hand_over(launch.to_dict())
    return None


def show_failure(error: AppError) -> None:
    """Say in a window of its own why the main window cannot open."""
    box = QMessageBox(QMessageBox.Icon.Critical, "Freehold", error.message)
    box.setInformativeText(error.hint)
    box.exec()


async def _live(
    app: QApplication, paths: Paths, launch: Launch, instance: SingleInstance, line: ServerLine
) -> None:
    desktop = Desktop(app, paths, line.connect)
    desktop.session.connected.connect(lambda: _show_warning(desktop, line))
    instance.launched.connect(lambda data: desktop.open(Launch.from_dict(data)))

    def show_bug(
        kind: type[BaseException], bug: BaseException, trace: TracebackType | None
    ) -> None:
        log.error("a slot failed", exc_info=(kind, bug, trace))
        desktop.show_error(internal())

    sys.excepthook = show_bug
    try:
        with quit_on_signals(desktop.finished.set):
            desktop.start(launch)
            log.info("Freehold %s: the window is open", __version__)
            await desktop.finished.wait()
    finally:
        sys.excepthook = sys.__excepthook__
        await desktop.end()


def _show_warning(desktop: Desktop, line: ServerLine) -> None:
    if line.warning is not None:
        warning = line.warning
        info = ErrorInfo(code=warning.code, message=warning.message, hint=warning.hint)
        desktop.session.notice_received.emit(Notice(level="warning", error=info))


def make_application() -> QApplication:
    """Return Qt's application, named so that desktops match window and menu entry."""
    qInstallMessageHandler(_log_qt)
    app = QApplication(["freehold"])
    app.setApplicationName("freehold")
    app.setApplicationDisplayName("Freehold")
    app.setApplicationVersion(__version__)
    app.setDesktopFileName("freehold")
    app.setQuitOnLastWindowClosed(False)
    return app


def check_screen() -> None:
    """Raise `not_supported` where no window can be opened; Qt itself would abort."""
    if sys.platform != "linux" or os.environ.get("QT_QPA_PLATFORM"):
        return
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise AppError(
            "not_supported",
            "There is no screen to open the window on.",
            "Use `freehold serve` or `freehold chat` here, or start Freehold from a desktop.",
        )


def check_address(address: str) -> None:
    """Raise `invalid_request` for something that is no server's address."""
    if not address:
        return
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise AppError(
            "invalid_request",
            f"{address} is not the address of a server.",
            "Give it as http://HOST:PORT.",
        )


def open_log(paths: Paths) -> None:
    """Write this process's log into the log folder; it never holds prompts or keys."""
    handler = logging.handlers.RotatingFileHandler(
        paths.logs / "window.log", maxBytes=LOG_BYTES, backupCount=2, encoding="utf-8", delay=True
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for noisy in ("httpx", "httpcore", "qasync", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@contextlib.contextmanager
def quit_on_signals(finish: Callable[[], object]) -> Iterator[None]:
    """Call `finish` on SIGINT or SIGTERM; Qt's loop would not let Python see them otherwise."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    notifier = QSocketNotifier(reader.fileno(), QSocketNotifier.Type.Read)

    def woken() -> None:
        with contextlib.suppress(BlockingIOError):
            reader.recv(64)
        finish()

    notifier.activated.connect(woken)
    old_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    old = {number: signal.signal(number, _noted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old_fd)
        notifier.setEnabled(False)
        notifier.deleteLater()
        reader.close()
        writer.close()


def _noted(_number: int, _frame: object) -> None:
    """Leave the work to the notifier."""


def _log_qt(kind: QtMsgType, _context: QMessageLogContext, text: str) -> None:
    logging.getLogger("qt").log(LEVELS.get(kind, logging.WARNING), text)
