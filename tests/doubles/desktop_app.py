"""The whole window as a program of its own; the test talks to it by lines.

    python -m doubles.desktop_app [--real | --at ADDRESS]

Its server is one in memory, or with `--real` the one `freehold serve` runs for FREEHOLD_DATA, or
the one at an address, whose key is FREEHOLD_KEY.

It prints one JSON line for each command on its standard input: `state`, `page KEY`, `ask TEXT`,
`begin TEXT`, `start`, `escape`, `import PATH`, `shot PATH`, `theme NAME`, `close`, `answer KEY`,
`quit`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import qasync
from PySide6.QtCore import QSocketNotifier, Qt
from PySide6.QtTest import QTest

from doubles.documents_driver import DocumentsDriver
from doubles.library_driver import LibraryDriver
from doubles.scenes import busy_workstation
from doubles.waiting import until
from freehold.paths import user_paths
from freehold.ui.application import ServerLine, make_application
from freehold.ui.desktop import Desktop, Launch
from freehold.ui.widgets.question import Question


class Driver(LibraryDriver, DocumentsDriver):
    """Does what the test says, as a person would."""

    def __init__(self, desktop: Desktop, server: object) -> None:
        self.desktop, self.server = desktop, server

    async def do(self, command: str, argument: str) -> object:
        """Run one command and return what to print."""
        return await getattr(self, f"do_{command}")(argument)

    async def do_state(self, _argument: str) -> dict[str, object]:
        desktop = self.desktop
        chats = desktop.window.page("chats")
        reply = chats.conversation.reply
        contents = [m.content for m in chats.conversation.messages]
        if reply is not None:
            contents[-1] = reply.content
        return {
            "visible": desktop.window.isVisible(),
            "active": desktop.window.isActiveWindow(),
            "page": desktop.window.page_key,
            "tray": desktop.tray.is_usable,
            "strip": desktop.window.strip.server.text(),
            "question": [q.accessibleName() for q in desktop.window.findChildren(Question)],
            "messages": contents,
            "statuses": [m.status for m in chats.conversation.messages],
            "loaded": [row.ref for row in desktop.models.loaded],
            "finished": desktop.finished.is_set(),
            "server_ended": self.server.server_ended,  # type: ignore[attr-defined]
        }

    async def do_page(self, key: str) -> bool:
        self.desktop.window.go_to(key)
        await asyncio.sleep(0.1)
        return True

    async def do_begin(self, text: str) -> bool:
        page = self.desktop.window.go_to("chats")
        await until(lambda: page.conversation.chat.model_ref)
        before = len(page.conversation.messages)
        QTest.keyClicks(page.composer.box, text)
        QTest.keyClick(page.composer.box, Qt.Key.Key_Return)
        await until(lambda: len(page.conversation.messages) >= before + 2, timeout_s=20)
        return True

    async def do_start(self, _argument: str) -> list[str]:
        """Press Start chatting on the first page; return what it said of this machine."""
        welcome = self.desktop.window.go_to("chats").welcome
        await until(lambda: welcome.currentWidget() is welcome.first, timeout_s=20)
        await until(lambda: welcome.first.machine[1].text(), timeout_s=20)
        welcome.first.start.click()
        await until(lambda: self.desktop.models.loaded, timeout_s=60)
        return [label.text() for label in welcome.first.machine]

    async def do_ask(self, text: str) -> bool:
        await self.do_begin(text)
        page = self.desktop.window.page("chats")
        await until(lambda: not page.conversation.busy, timeout_s=60)
        return True

    async def do_escape(self, _argument: str) -> bool:
        QTest.keyClick(self.desktop.window.page("chats").composer.box, Qt.Key.Key_Escape)
        return True

    async def do_import(self, path: str) -> str:
        models = self.desktop.window.go_to("models")
        known = {row.ref for row in self.desktop.models.rows}

        def added() -> set[str]:
            return {row.ref for row in self.desktop.models.rows} - known

        models.import_files([path])
        await until(added, timeout_s=20)
        return added().pop()

    async def do_shot(self, path: str) -> bool:
        await asyncio.sleep(0.3)
        return self.desktop.window.grab().save(path)

    async def do_theme(self, name: str) -> bool:
        self.desktop.settings.change(theme=name)
        await until(lambda: not self.desktop.settings.is_saving)
        return self.desktop.theme.name == name

    async def do_close(self, _argument: str) -> bool:
        self.desktop.window.close()
        await asyncio.sleep(0.1)
        return True

    async def do_answer(self, key: str) -> bool:
        await until(lambda: self.desktop.window.findChildren(Question))
        self.desktop.window.findChildren(Question)[0].choose(key)
        await asyncio.sleep(0.2)
        return True

    async def do_quit(self, _argument: str) -> bool:
        self.desktop.finished.set()
        return True


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Run until `quit` or the end of the standard input."""
    paths = user_paths()
    paths.create()
    address = sys.argv[sys.argv.index("--at") + 1] if "--at" in sys.argv else ""
    server, line = busy_workstation(), ServerLine(paths, address)

    async def connect() -> object:
        return server

    real = bool(address) or "--real" in sys.argv
    desktop = Desktop(_app, paths, line.connect if real else connect)  # type: ignore[arg-type]
    desktop.start(Launch())
    await until(lambda: desktop.session.is_connected, timeout_s=30)
    driver = Driver(desktop, server)
    lines: asyncio.Queue[str] = asyncio.Queue()
    notifier = QSocketNotifier(sys.stdin.fileno(), QSocketNotifier.Type.Read)
    pending = b""

    def read() -> None:
        nonlocal pending
        chunk = os.read(sys.stdin.fileno(), 4096)
        pending += chunk or b"quit\n"
        notifier.setEnabled(bool(chunk))
        *whole, pending = pending.split(b"\n")
        for line in whole:
            lines.put_nowait(line.decode())

    notifier.activated.connect(read)
    _say("ready")
    while not desktop.finished.is_set():
        command, _, argument = (await lines.get()).partition(" ")
        _say(await driver.do(command, argument))
    notifier.setEnabled(False)
    await desktop.end()
    await server.close()
    line.forget()


if __name__ == "__main__":
    _app = make_application()
    with qasync.QEventLoop(_app) as loop:
        loop.run_until_complete(main())
