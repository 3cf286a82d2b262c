"""One window per user, data folder and server: a second launch hands over its words and ends."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Final

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from freehold.errors import AppError

log = logging.getLogger(__name__)

WAIT_MS: Final = 3_000
MOST_BYTES: Final = 64 * 1024
LONGEST_SOCKET_PATH: Final = 100


class SingleInstance(QObject):
    """Signals: launched(arguments): someone started Freehold again, with these arguments."""

    launched = Signal(object)

    def __init__(self, folder: Path, address: str = "", parent: QObject | None = None) -> None:
        """`folder` is the state folder, private to the user; `address` a server elsewhere."""
        super().__init__(parent)
        name = f"window-{short_digest(address.encode())}" if address else "window"
        self._lock = QLockFile(str(folder / f"{name}.lock"))
        # A lock is stale when its process is gone, however old it is; never by its age alone.
        self._lock.setStaleLockTime(0)
        self._name = socket_name(folder, address)
        self._server: QLocalServer | None = None

    def acquire(self) -> bool:
        """Become the one instance; return False when there is another that lives."""
        if not self._lock.tryLock(0) and not self._take_over():
            return False
        QLocalServer.removeServer(self._name)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._greet)
        if not self._server.listen(self._name):
            # The window works without it; only a second launch cannot raise this one.
            log.info("second launches cannot be heard: %s", self._server.errorString())
        return True

    def hand_over(self, arguments: dict[str, object]) -> None:
        """Give the arguments to the instance that lives.

        Raises: AppError `already_running` when it does not answer.
        """
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(WAIT_MS):
            raise _mute()
        socket.write(json.dumps(arguments).encode() + b"\n")
        socket.flush()
        answered = socket.waitForReadyRead(WAIT_MS) and bytes(socket.readLine().data()) == b"ok\n"
        socket.abort()
        if not answered:
            raise _mute()

    def release(self) -> None:
        """Let another instance begin."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._lock.unlock()

    def _take_over(self) -> bool:
        """Take a lock whose process id now belongs to another program."""
        if self._lock.error() == QLockFile.LockError.PermissionError:
            raise AppError(
                "no_permission",
                f"Freehold cannot write {self._lock.fileName()}.",
                "Give your user write permission on that folder, or set FREEHOLD_DATA.",
            )
        if self._lock.error() == QLockFile.LockError.UnknownError:
            raise AppError(
                "disk_full",
                f"Freehold cannot write {self._lock.fileName()}; its disk is probably full.",
                "Free some space there; what is already stored can still be read.",
            )
        pid = holder_pid(Path(self._lock.fileName()))
        if pid is None or runs_freehold(pid):
            return False
        return self._lock.removeStaleLockFile() and self._lock.tryLock(0)

    def _greet(self) -> None:
        if self._server is None:
            return
        while (socket := self._server.nextPendingConnection()) is not None:
            socket.readyRead.connect(lambda socket=socket: self._hear(socket))
            socket.disconnected.connect(socket.deleteLater)
            self._hear(socket)  # what came before the signal was connected

    def _hear(self, socket: QLocalSocket) -> None:
        if socket.bytesAvailable() > MOST_BYTES:
            socket.abort()
            return
        if not socket.canReadLine():
            return
        try:
            arguments = json.loads(bytes(socket.readLine().data()))
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            socket.abort()
            return
        socket.write(b"ok\n")
        socket.flush()
        self.launched.emit(arguments)


def socket_name(folder: Path, address: str = "") -> str:
    """Return where the instance listens: in the runtime folder, so only this user reaches it."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    place = Path(runtime) if runtime else folder
    digest = short_digest(os.fsencode(folder) + address.encode())
    path = str(place / f"freehold-{digest}.sock")
    return path if len(path) <= LONGEST_SOCKET_PATH else f"freehold-{digest}"


def short_digest(data: bytes) -> str:
    """Return a short name for what may be long or hold any character."""
    return hashlib.sha256(data).hexdigest()[:12]


def holder_pid(lock: Path) -> int | None:
    """Return the process id written in a lock file."""
    try:
        return int(lock.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def runs_freehold(pid: int) -> bool:
    """Return whether that process is Freehold, as far as the system tells (if not: assume so)."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return not Path("/proc/self").exists()
    except OSError:
        return True
    return b"freehold" in command


def _mute() -> AppError:
    return AppError(
        "already_running",
        "Freehold is already open but does not answer.",
        "Look for its window or tray icon; if there is none, end its process and start again.",
    )
