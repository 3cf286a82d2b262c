"""Documents in a chat: attaching, chips, what happens before a question, and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from doubles.chat_desk import ChatDesk, open_desk
from doubles.loop_probe import LoopProbe
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.chats.notices import progress_text
from freehold.ui.documents.chip import Chip
from freehold.ui.documents.chip_strip import MOST_HEIGHT
from freehold.ui.documents.drops import WindowDrops
from freehold.ui.state.gathering import LONG_TEXT
from freehold.ui.theme import Theme
from freehold.ui.widgets.question import Question
from freehold.wire import ErrorInfo, ReplyProgress
from freehold.wire_documents import Collection, DocumentFit, DocumentInfo

SLOW_MACHINE = 3
DAMAGED = ErrorInfo(
    code="invalid_document",
    message="“a.pdf” is damaged: it is not a whole PDF.",
    hint="Get the file again.",
)


@pytest_asyncio.fixture(loop_scope="function")
async def desk() -> AsyncIterator[ChatDesk]:
    async with open_desk() as desk:
        yield desk


def chips(desk: ChatDesk) -> list[Chip]:
    return desk.page.composer.strip.chips


def put(folder: Path, name: str, text: str = "The rent is 4,250 euros.") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


async def attach(desk: ChatDesk, *paths: str) -> None:
    before = len(desk.page.side.attachments.items)
    desk.page.side.add(paths)
    attachments = desk.page.side.attachments
    await until(lambda: len(attachments.items) == before + len(paths) and not attachments.busy)
    await until(lambda: desk.page.composer.strip.items == attachments.items)


async def test_a_dropped_file_has_its_chip_at_once_and_belongs_to_the_chat(
    desk: ChatDesk, tmp_path: Path
) -> None:
    desk.client.documents.hold = True
    desk.page.side.add([put(tmp_path, "lease.txt")])
    await until(lambda: chips(desk))
    assert chips(desk)[0].words.text() in ("24 B · Sending…", "Reading…")
    await until(lambda: desk.client.documents.known)
    (info,) = desk.client.documents.known.values()
    desk.client.documents.put(msgspec.structs.replace(info, done=3, total=12))
    await until(lambda: chips(desk)[0].words.text() == "Reading page 3 of 12")
    ready = msgspec.structs.replace(
        info, phase="ready", kind="pdf", page_count=12, tokens=9_100, done=12, total=12
    )
    desk.client.documents.put(ready)
    await until(lambda: chips(desk)[0].words.text() == "12 pages · 9.1 k tokens")
    await until(lambda: desk.page.conversation.chat.id in desk.client.documents.chats)
    assert desk.client.documents.chats[desk.page.conversation.chat.id][0] == (info.id,)


async def test_an_error_stays_on_its_own_chip(desk: ChatDesk, tmp_path: Path) -> None:
    await attach(desk, put(tmp_path, "good.txt"), str(tmp_path / "gone.pdf"))
    good, gone = chips(desk)
    assert good.item.is_ready
    assert gone.item.failure is not None
    assert "gone.pdf" in gone.problem.text()
    assert gone.problem.text().endswith(gone.item.failure.hint)
    assert gone.property("docChip") == "error"
    assert good.property("docChip") == "plain"
    gone.close_button.click()
    await until(lambda: len(chips(desk)) == 1)
    await until(lambda: desk.client.called("documents.remove"))


async def test_a_server_that_refuses_a_file_is_one_red_chip(desk: ChatDesk, tmp_path: Path) -> None:
    refusal = AppError("payload_too_large", "“big.txt” is too large: 612 MB.", "Split it.")
    desk.client.documents.fail_next("documents.add", refusal)
    await attach(desk, put(tmp_path, "big.txt"), put(tmp_path, "b.txt"))
    failed = [c for c in chips(desk) if c.item.failure is not None]
    assert [c.problem.text() for c in failed] == ["“big.txt” is too large: 612 MB. Split it."]
    desk.write("And?")
    await until(lambda: desk.client.called("send"))


async def test_chips_of_a_chat_come_back_and_are_not_those_of_another(
    desk: ChatDesk, tmp_path: Path
) -> None:
    await attach(desk, put(tmp_path, "a.txt"))
    await until(lambda: desk.client.called("documents.set_chat"))
    first = desk.page.conversation.chat.id
    desk.page.new_chat()
    await until(lambda: not chips(desk) and desk.page.composer.strip.isHidden())
    desk.page.show_chat(first)
    await until(lambda: [c.name.text() for c in chips(desk)] == ["a.txt"])


async def test_five_hundred_damaged_files_are_five_hundred_named_chips(desk: ChatDesk) -> None:
    """The window goes on, the composer stays, and every chip says what is wrong with its file."""
    await attach_nothing(desk)
    chat_id = desk.page.conversation.chat.id
    documents = desk.client.documents
    for n in range(500):
        error = msgspec.structs.replace(DAMAGED, message=f"“{n:03}.pdf” is damaged.")
        documents.known[f"d{n}"] = DocumentInfo(
            id=f"d{n}", name=f"{n:03}.pdf", phase="failed", error=error
        )
    documents.chats[chat_id] = (tuple(documents.known), (), "")
    desk.page.side.attachments._read_soon()
    strip = desk.page.composer.strip
    await until(lambda: len(strip.items) == 500, timeout_s=30)
    assert len(chips(desk)) < 40, "only those that are seen exist"
    seen: dict[str, str] = {}
    for n in range(0, 500, 8):
        strip.chip(f"d{n}")
        await asyncio.sleep(0)  # those beside it are made in the next turns
        for chip in chips(desk):
            if chip.name.text() not in seen:
                seen[chip.name.text()] = chip.problem.text()
                label = chip.problem
                assert label.height() >= label.heightForWidth(label.width()), "nothing is cut off"
    assert seen == {
        f"{n:03}.pdf": f"“{n:03}.pdf” is damaged. Get the file again." for n in range(500)
    }
    assert strip.area.height() <= MOST_HEIGHT
    assert strip.summary.text() == "500 not read"
    assert desk.page.composer.box.isVisible()
    assert desk.page.composer.geometry().bottom() <= desk.page.height()


async def attach_nothing(desk: ChatDesk) -> None:
    """Have the chat stored, without documents."""
    await desk.page.conversation.ensure_stored()
    desk.page.side.attachments.show_chat(desk.page.conversation.chat.id)


async def test_the_window_answers_while_many_files_are_added(
    desk: ChatDesk, tmp_path: Path
) -> None:
    probe = LoopProbe(desk.page)
    probe.start()
    await attach(desk, *[put(tmp_path, f"{n:03}.txt") for n in range(150)])
    probe.stop()
    assert len(desk.page.composer.strip.items) == 150
    # Processor time of this thread between two turns of the loop, whatever else the machine does.
    assert max(probe.cpu_ms) < 50 * SLOW_MACHINE


async def test_a_question_waits_for_its_documents_and_can_be_taken_back(
    desk: ChatDesk, tmp_path: Path
) -> None:
    desk.client.documents.hold = True
    desk.page.side.add([put(tmp_path, "long.txt")])
    await until(lambda: desk.client.documents.known and desk.client.called("documents.set_chat"))
    desk.write("What is the rent?")
    await until(lambda: "Your question is sent" in desk.page.composer.hint.text())
    assert not desk.client.called("send")
    QTest.keyClick(desk.page.composer.box, Qt.Key.Key_Escape)
    await until(lambda: not desk.page.composer.box.isReadOnly())
    assert desk.page.composer.text == "What is the rent?"
    desk.write("What is the rent?")
    (info,) = desk.client.documents.known.values()
    desk.client.documents.put(msgspec.structs.replace(info, phase="ready", tokens=20))
    await until(lambda: desk.client.called("send"))


async def test_documents_that_do_not_fit_are_asked_about_once(
    desk: ChatDesk, tmp_path: Path
) -> None:
    await attach(desk, put(tmp_path, "manual.txt"))
    chat_id = desk.page.conversation.chat.id
    await until(lambda: chat_id in desk.client.documents.chats)
    desk.client.documents.fits[chat_id] = DocumentFit(
        is_whole=False,
        document_tokens=412_000,
        limit_tokens=22_800,
        context_tokens=32_768,
        first_pages=18,
        pages=312,
        basis="measured",
    )
    desk.write("Sum it up")
    await until(lambda: desk.page.findChildren(Question))
    dialog = desk.page.findChildren(Question)[0]
    words = dialog.accessibleDescription()
    for figure in ("412 k tokens", "measured", "32.8 k", "22.8 k", "first 18 pages", "312"):
        assert figure in words
    dialog.choose("cancel")
    await until(lambda: not desk.page.composer.box.isReadOnly())
    assert desk.page.composer.text == "Sum it up"
    assert not desk.client.called("send")
    desk.write("Sum it up")
    await until(lambda: [q for q in desk.page.findChildren(Question) if q.isVisible()])
    next(q for q in desk.page.findChildren(Question) if q.isVisible()).choose("first")
    await until(lambda: desk.client.called("send"))
    assert desk.client.documents.chats[chat_id][2] == "first"
    await desk.idle()
    desk.write("And page two?")
    await until(lambda: len(desk.client.called("send")) == 2)


async def test_after_a_question_the_chips_fold_and_stay_in_scope(
    desk: ChatDesk, tmp_path: Path
) -> None:
    await attach(desk, put(tmp_path, "a.txt"), put(tmp_path, "b.txt"))
    await desk.ask("What is it?")
    strip = desk.page.composer.strip
    assert strip.is_folded
    assert strip.area.isHidden()
    assert "2 documents in this chat" in strip.fold_button.text()
    strip.fold_button.click()
    assert not strip.area.isHidden()


async def test_a_long_text_becomes_an_attachment_and_a_short_one_does_not(desk: ChatDesk) -> None:
    box = desk.page.composer.box
    data = QMimeData()
    data.setText("Minutes of May. " * (LONG_TEXT // 10))
    box.insertFromMimeData(data)
    await until(lambda: desk.client.called("documents.upload"))
    assert box.toPlainText() == ""
    await until(lambda: chips(desk) and chips(desk)[0].item.is_ready)
    assert chips(desk)[0].name.text().startswith("Minutes of May")
    assert "documents" in desk.page.banners.keys
    QGuiApplication.clipboard().setText(data.text())
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    QTest.keyClick(box, Qt.Key.Key_V, both)
    assert len(box.toPlainText()) == len(data.text())
    box.clear()
    short = QMimeData()
    short.setText("two words")
    box.insertFromMimeData(short)
    assert box.toPlainText() == "two words"


async def test_a_pasted_picture_and_pasted_files_are_attached(
    desk: ChatDesk, tmp_path: Path
) -> None:
    picture = QImage(8, 8, QImage.Format.Format_RGB32)
    picture.fill(0)
    data = QMimeData()
    data.setImageData(picture)
    desk.page.composer.box.insertFromMimeData(data)
    await until(lambda: desk.client.called("documents.upload"))
    assert desk.client.called("documents.upload") == [{"name": "Pasted picture 1.png"}]
    files = QMimeData()
    files.setUrls([QUrl.fromLocalFile(put(tmp_path, "x.txt"))])
    desk.page.composer.box.insertFromMimeData(files)
    await until(lambda: len(chips(desk)) == 2)


async def test_a_collection_is_attached_and_taken_off(desk: ChatDesk) -> None:
    made = Collection(id="law", name="Law", phase="embedding", done=5, total=20, files=9)
    desk.client.documents.made["law"] = made
    desk.page.side.attach(made)
    await until(lambda: desk.page.conversation.chat.id in desk.client.documents.chats)
    chat_id = desk.page.conversation.chat.id
    assert desk.client.documents.chats[chat_id][1] == ("law",)
    await until(lambda: chips(desk))
    assert "Indexing 5 of 20 passages (25%)" in chips(desk)[0].words.text()
    chips(desk)[0].close_button.click()
    await until(lambda: not desk.client.documents.chats[chat_id][1])
    assert "law" in desk.client.documents.made, "the collection itself stays"


async def test_what_the_server_did_not_hear_is_told_again(desk: ChatDesk, tmp_path: Path) -> None:
    await attach_nothing(desk)
    gone = AppError("server_unreachable", "The server is gone.", "Wait.", retryable=True)
    desk.client.documents.fail_next("documents.set_chat", gone)
    await attach(desk, put(tmp_path, "a.txt"))
    await until(lambda: "chat" in desk.page.banners.keys)
    desk.session.connected.emit()
    chat_id = desk.page.conversation.chat.id
    await until(lambda: desk.client.documents.chats.get(chat_id, ((), (), ""))[0])
    assert len(desk.client.called("documents.set_chat")) == 2
    assert [chip.name.text() for chip in chips(desk)] == ["a.txt"]


async def test_a_chat_in_the_trash_takes_no_documents(desk: ChatDesk, tmp_path: Path) -> None:
    await desk.ask("Hello")
    chat_id = desk.page.conversation.chat.id
    await desk.client.trash_chat(chat_id)
    await until(lambda: desk.page.conversation.chat.trashed_at is not None)
    desk.page.side.add([put(tmp_path, "a.txt")])
    assert desk.page.side.attachments.items == ()
    assert "documents" in desk.page.banners.keys


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ("prefill", "Reading the prompt: 10,000 of 40,000 tokens (25%), about 15 s left"),
        ("embedding", "Indexing the documents by meaning: 10,000 of 40,000 passages (25%)"),
        ("reading", "Going through the documents part by part: 10,000 of 40,000 passages (25%)"),
    ],
)
def test_what_comes_before_an_answer_says_how_far_it_is(phase: str, words: str) -> None:
    progress = ReplyProgress(
        chat_id="c",
        message_id="m",
        phase=phase,
        done=10_000,
        total=40_000,  # type: ignore[arg-type]
    )
    assert progress_text(progress, None, 0.0, 15.0).startswith(words)


async def test_the_paper_clip_offers_what_is_here(desk: ChatDesk, tmp_path: Path) -> None:
    documents = desk.client.documents
    documents.made["law"] = Collection(id="law", name="Law & order", phase="ready")
    documents.known["d1"] = DocumentInfo(id="d1", name="Lease.pdf", phase="ready", kind="pdf")
    documents.known["d2"] = DocumentInfo(id="d2", name="Broken.pdf", phase="failed", error=DAMAGED)
    menu = desk.page.side.menu
    desk.page.composer.attach_button.click()
    await until(lambda: menu.documents.actions())
    assert [action.text() for action in menu.collections.actions()] == ["Law && order"]
    assert [action.text() for action in menu.documents.actions()] == ["Lease.pdf"]
    menu.collections.actions()[0].trigger()
    menu.documents.actions()[0].trigger()
    menu.close()
    await until(lambda: [c.name.text() for c in chips(desk)] == ["Law & order", "Lease.pdf"])
    await until(lambda: list(documents.chats.values()) == [(("d1",), ("law",), "")])
    desk.page.composer.attach_button.click()
    await until(lambda: not menu.documents.menuAction().isVisible())
    menu.close()


async def test_a_remote_server_gets_the_bytes(desk: ChatDesk, tmp_path: Path) -> None:
    desk.client._base_url = "http://10.0.0.7:11711"
    await attach(desk, put(tmp_path, "a.txt"), str(tmp_path / "gone.txt"))
    assert [call["name"] for call in desk.client.called("documents.upload")].count("a.txt") == 1
    assert not desk.client.called("documents.add")
    assert "cannot be opened" in chips(desk)[1].problem.text()


# --- dropping on the window ------------------------------------------------------------------


def drag(paths: list[str]) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(path) for path in paths])
    return data


def enter(data: QMimeData) -> QDragEnterEvent:
    return QDragEnterEvent(
        QPoint(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )


def drop(data: QMimeData) -> QDropEvent:
    return QDropEvent(
        QPoint(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["/a/b.pdf", "/a/m.gguf"], "Drop to add to this chat"),
        (["/a/m.gguf"], "Drop to add to your models"),
    ],
)
def test_the_overlay_says_what_dropping_does(
    theme: Theme, qtbot: object, paths: list[str], words: str
) -> None:
    window = QWidget()
    window.resize(900, 700)
    taken: list[list[str]] = []
    drops = WindowDrops(window, theme, lambda: "Drop to add to this chat")
    drops.dropped.connect(taken.append)
    window.show()
    data = drag(paths)
    event = enter(data)
    QGuiApplication.sendEvent(window, event)
    assert event.isAccepted()
    assert drops.overlay.isVisible()
    assert drops.overlay.title.text() == words
    QGuiApplication.sendEvent(window, drop(data))
    assert not drops.overlay.isVisible()
    assert taken == [paths]
    text = QMimeData()
    text.setText("no file")
    ignored = enter(text)
    QGuiApplication.sendEvent(window, ignored)
    assert not drops.overlay.isVisible()
    window.close()
