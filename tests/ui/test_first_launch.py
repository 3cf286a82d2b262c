"""The first launch: this machine in two lines, the starter model ready, a chat at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
from PySide6.QtWidgets import QApplication

from doubles.client import FakeClient
from doubles.machine import EPYC, NVME, gpu
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.chats.first_launch import machine_lines
from freehold.ui.chats.page import ChatsPage
from freehold.ui.state.session import Session
from freehold.ui.tasks import end_all
from freehold.ui.theme import Theme
from freehold.wire import ErrorInfo, ModelEntry
from freehold.wire_machine import Inventory, Memory

STARTER = ModelEntry(
    ref="freehold-starter:Q8_0",
    name="Freehold Starter",
    arch="deepseek2",
    bytes=24_300_000,
    path="/models/freehold-starter-Q8_0.gguf",
    origin="bundled",
    ready=True,
)
EMBEDDER = msgspec.structs.replace(
    STARTER, ref="all-MiniLM-L6-v2:Q8_0", name="MiniLM", arch="bert", kind="embedding"
)
FOUND = msgspec.structs.replace(STARTER, ref="qwen", name="Qwen", origin="Ollama")
DAMAGED = msgspec.structs.replace(
    STARTER,
    ready=False,
    problem=ErrorInfo(
        code="invalid_model",
        message="The starter model, which comes with Freehold, is damaged.",
        hint="Import another model.",
    ),
)


@asynccontextmanager
async def opened(client: FakeClient) -> AsyncIterator[ChatsPage]:
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    session = Session(client, retry_s=(0.01,))
    page = ChatsPage(session, Theme(application, setting="light"))
    page.resize(1100, 760)
    page.show()
    session.start()
    await until(lambda: session.is_connected)
    yield page
    page.close()
    page.deleteLater()
    await session.stop()
    await client.close()
    await end_all()


def shows(page: ChatsPage, part: str) -> Callable[[], bool]:
    return lambda: page.welcome.currentWidget() is getattr(page.welcome, part)


async def test_a_chat_begins_at_once() -> None:
    client = FakeClient(models=(EMBEDDER, STARTER))
    async with opened(client) as page:
        await until(shows(page, "first"))
        first = page.welcome.first
        assert first.state.text() == "Ready"
        await until(lambda: "EPYC" in first.machine[0].text())
        assert not page.composer.isVisible()
        first.start.click()
        assert shows(page, "guide")()
        assert page.composer.isVisible()
        client.release_loads()
        await until(lambda: [e.ref for e in client.engines.values()] == [STARTER.ref])
        client.script_reply(["Hello."])
        page.welcome.questions[0].click()
        await until(lambda: [m.content for m in page.conversation.messages][1:] == ["Hello."])
        assert page.conversation.chat.model_ref == STARTER.ref
        page.new_chat()
        assert shows(page, "guide")()


async def test_asking_for_a_new_chat_leaves_the_first_page() -> None:
    async with opened(FakeClient(models=(EMBEDDER, STARTER))) as page:
        await until(shows(page, "first"))
        page.panel.new_button.click()
        assert shows(page, "guide")()
        assert page.composer.isVisible()
        assert page.conversation.chat.model_ref == STARTER.ref


async def test_ways_to_other_models() -> None:
    async with opened(FakeClient(models=(EMBEDDER, STARTER))) as page:
        await until(shows(page, "first"))
        asked: list[str] = []
        page.find_requested.connect(lambda: asked.append("find"))
        page.models_page_requested.connect(lambda: asked.append("bring"))
        page.welcome.first.find_button.click()
        page.welcome.first.bring_button.click()
        assert asked == ["find", "bring"]


async def test_a_damaged_starter_is_said_plainly_with_import_offered() -> None:
    client = FakeClient(models=(EMBEDDER, DAMAGED))
    async with opened(client) as page:
        await until(shows(page, "first"))
        first = page.welcome.first
        assert "is damaged" in first.words.text()
        assert not first.start.isVisibleTo(first)
        asked: list[str] = []
        page.import_requested.connect(lambda: asked.append("import"))
        first.bring_first.click()
        assert asked == ["import"]


async def test_it_is_not_shown_to_somebody_with_a_model() -> None:
    async with opened(FakeClient(models=(EMBEDDER, FOUND, STARTER))) as page:
        await until(shows(page, "guide"))
        assert page.conversation.chat.model_ref == STARTER.ref
        page.conversation.update(model_ref=FOUND.ref)
        await until(shows(page, "blank"))


async def test_a_model_that_is_brought_takes_the_starters_place() -> None:
    client = FakeClient(models=(STARTER,))
    async with opened(client) as page:
        await until(lambda: page.conversation.chat.model_ref == STARTER.ref)
        brought = await client.import_model("/models/mine.gguf")
        await until(lambda: page.conversation.chat.model_ref == brought.ref)
        assert shows(page, "blank")()


async def test_a_machine_that_cannot_be_read_is_no_obstacle() -> None:
    client = FakeClient(models=(STARTER,))
    client.machine.fail_next("machine.state", AppError("internal", "No.", "Try again."))
    async with opened(client) as page:
        await until(lambda: "could not be read" in page.welcome.first.machine[0].text())
        assert page.welcome.first.start.isVisible()


def inventory(*gpus: object) -> Inventory:
    memory = Memory(
        total_bytes=256 * 10**9,
        available_bytes=10**9,
        swap_bytes=0,
        huge_page_bytes=0,
        huge_pages_free=0,
        transparent_huge_pages="madvise",
    )
    return Inventory(
        gpus=gpus,  # type: ignore[arg-type]
        cpu=EPYC,
        memory=memory,
        disks=(NVME,),
        driver=None,
        gpu_note="",
    )


def test_the_machine_in_two_lines() -> None:
    first, second = machine_lines(inventory())
    assert first == "AMD EPYC 9355 32-Core Processor, 32 cores  ·  256 GB of memory"
    assert second.startswith("No graphics card in use")
    assert second.endswith("1.83 TB free for models")
    _, second = machine_lines(inventory(gpu("H100 PCIe", 85.5), gpu("H100 PCIe", 85.5, index=1)))
    assert second.startswith("2 × H100 PCIe, 85.5 GB")
