"""One scene in a process of its own: open the window, arrange it, take its picture."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import cast

import msgspec
import qasync
from PySide6.QtWidgets import QApplication

from doubles.client import FakeClient
from doubles.costs_scene import furnish_costs
from doubles.documents_scene import furnish_documents
from doubles.scenes import KIMI, QWEN, busy_workstation, first_launch
from doubles.waiting import until
from freehold.paths import user_paths
from freehold.ui.application import make_application
from freehold.ui.chats.page import ChatsPage
from freehold.ui.costs.page import CostsPage
from freehold.ui.desktop import Desktop, Launch
from freehold.ui.documents.page import DocumentsPage
from freehold.ui.help.page import HelpPage
from freehold.ui.machine.page import MachinePage
from freehold.ui.theme import Setting
from freehold.wire import Settings

WIDTH, HEIGHT = 1280, 820
SETTLE_S = 0.6  # animations end, images are drawn


async def show(app: QApplication, scene: str, theme: str, picture: str) -> None:
    """Arrange the scene and save what the window shows."""
    paths = user_paths()
    paths.create()
    settings = Settings(theme=cast(Setting, theme), default_model_ref=QWEN.ref)
    if scene == "welcome":
        server = first_launch(settings=msgspec.structs.replace(settings, default_model_ref=""))
    else:
        server = busy_workstation(settings=settings, now=time.time() - 600)

    async def connect() -> FakeClient:
        return server

    desktop = Desktop(app, paths, connect)
    desktop.window.setGeometry(0, 0, WIDTH, HEIGHT)
    desktop.start(Launch())
    await until(lambda: desktop.session.is_connected)
    if scene == "chat":
        await _open_chat(desktop, server)
    elif scene in ("proof", "documents"):
        await _open_documents(desktop, server, scene)
    elif scene.startswith("costs"):
        await _open_costs(desktop, server, scene.partition("-")[2])
    elif scene == "welcome":
        desktop.window.go_to("chats")
    elif scene == "help":
        cast(HelpPage, desktop.window.go_to("help")).open("kimi-k2")
    elif scene == "machine":
        page = cast(MachinePage, desktop.window.go_to("machine"))
        page.choose(KIMI.ref)
        await until(lambda: page.plan.plan is not None, timeout_s=20)
    else:
        desktop.window.go_to(scene)
    await asyncio.sleep(SETTLE_S)
    if not desktop.window.grab().save(picture):
        raise OSError(f"{picture} cannot be written")
    await desktop.end()


async def _open_chat(desktop: Desktop, server: FakeClient) -> None:
    page = cast(ChatsPage, desktop.window.go_to("chats"))
    newest = (await server.chats())[0]
    page.show_chat(newest.id)
    await until(lambda: page.conversation.messages)


async def _open_documents(desktop: Desktop, server: FakeClient, scene: str) -> None:
    chat_id = furnish_documents(server)
    if scene == "documents":
        documents = cast(DocumentsPage, desktop.window.go_to("documents"))
        await until(lambda: documents.rows.cards)
        return
    page = cast(ChatsPage, desktop.window.go_to("chats"))
    page.show_chat(chat_id)
    await until(lambda: page.conversation.messages)
    page.side.open_citation("lease-answer", 1)
    picture = page.side.reader.page_view.picture
    await until(lambda: not picture.pixmap().isNull())


async def _open_costs(desktop: Desktop, server: FakeClient, part: str) -> None:
    furnish_costs(server)
    page = cast(CostsPage, desktop.window.go_to("costs"))
    await until(lambda: page.own.answer is not None and page.live.power is not None)
    page.show_part(part or "own")
    await until(lambda: page.state.advice is not None)


def main() -> int:
    """Show the scene named on the command line."""
    scene, theme, picture = sys.argv[1:4]
    app = make_application()
    with qasync.QEventLoop(app) as loop:
        loop.run_until_complete(show(app, scene, theme, picture))
    return 0


if __name__ == "__main__":
    sys.exit(main())
