"""The Chats page on the real server and engine: an answer streams, the engine dies, it goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtWidgets import QApplication

from doubles.models import tiny_model
from doubles.waiting import until
from freehold.client.discovery import read_address
from freehold.client.http import HttpClient
from freehold.paths import user_paths
from freehold.ui.chats.message_view import AssistantMessage
from freehold.ui.chats.page import ChatsPage
from freehold.ui.state.session import Session
from freehold.ui.tasks import end_all
from freehold.ui.theme import Theme

pytestmark = [pytest.mark.e2e, pytest.mark.engine]
KEY = "k" * 40


@pytest.fixture
def server_url(data_folder: Path) -> Iterator[str]:
    """Run `freehold serve` on a free port."""
    environment = {**os.environ, "FREEHOLD_KEY": KEY}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "freehold", "serve", "--port", str(port)]
    with (data_folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    address = user_paths().address_file
    deadline = time.monotonic() + 60
    while not address.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        assert address.exists(), (data_folder / "serve.log").read_text()
        found = read_address(user_paths())
        assert found is not None
        yield found.base_url
    finally:
        process.terminate()
        process.wait(timeout=30)


async def test_an_answer_streams_and_a_killed_engine_costs_only_the_rest_of_it(
    server_url: str,
) -> None:
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    theme = Theme(app, setting="light")
    session = Session(HttpClient(server_url, KEY), retry_s=(0.2,))
    page = ChatsPage(session, theme)
    page.show()
    session.start()

    def last() -> AssistantMessage:
        found = [v for v in page.transcript.views if isinstance(v, AssistantMessage)]
        return found[-1]

    def send(text: str) -> None:
        page.composer.box.setPlainText(text)
        page.composer.box.send_asked.emit()

    await until(lambda: session.is_connected, timeout_s=30)
    model = await session.client.import_model(str(tiny_model()))
    await until(lambda: page.conversation.chat.model_ref == model.ref, timeout_s=10)
    page.settings.knobs["max_tokens"].setValue(60)
    page.settings.save_now()
    await until(lambda: page.conversation.chat.sampling == {"max_tokens": 60})
    send("Hello")
    await until(lambda: page.conversation.busy, timeout_s=10)
    await until(lambda: not page.conversation.busy, timeout_s=60)
    assert last().message.status == "complete"
    assert last().body.text
    assert "60 tokens" in last().footer.stats.text()

    page.settings.knobs["max_tokens"].setValue(8_000)
    page.settings.save_now()
    await until(lambda: page.conversation.chat.sampling == {"max_tokens": 8_000})
    send("At length, please")
    await until(lambda: page.conversation.reply and page.conversation.reply.content, timeout_s=30)
    pid = next(engine.pid for engine in session.engines if engine.pid)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    await until(lambda: not page.conversation.busy, timeout_s=10)
    assert time.monotonic() - killed < 2
    assert last().message.status == "interrupted"
    assert last().body.text
    assert last().failure is not None
    assert "SIGKILL" in last().failure.text

    page.settings.knobs["max_tokens"].setValue(20)
    page.settings.save_now()
    await until(lambda: page.conversation.chat.sampling == {"max_tokens": 20})
    send("And now?")
    await until(lambda: page.conversation.busy, timeout_s=10)
    await until(lambda: not page.conversation.busy, timeout_s=60)
    assert last().message.status == "complete"
    assert last().body.text

    page.close()
    shiboken6.delete(page)
    await session.stop()
    await end_all()
    shiboken6.delete(session)
    shiboken6.delete(theme)
