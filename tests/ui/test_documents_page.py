"""The Documents page: what is there, how far it is, and everything that can be done with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest_asyncio
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialog

from doubles.client import FakeClient
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.documents.collection_dialog import CollectionDialog, FilesDialog
from freehold.ui.documents.page import DocumentsPage
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme
from freehold.ui.widgets.question import Question
from freehold.wire import ErrorInfo
from freehold.wire_documents import Collection, CollectionFile, DocumentInfo

LEASE = DocumentInfo(
    id="d1",
    name="Lease.pdf",
    phase="ready",
    kind="pdf",
    page_count=12,
    tokens=9_100,
    bytes=2_400_000,
    passages=18,
    embedded=9,
    has_pages=True,
)
SCAN = msgspec.structs.replace(LEASE, id="d2", name="Scan.pdf", scan_pages=14, tokens=0)
BROKEN = DocumentInfo(
    id="d3",
    name="Broken.pdf",
    phase="failed",
    error=ErrorInfo(code="invalid_document", message="It is damaged.", hint="Get it again."),
)
LAW = Collection(
    id="c1",
    name="Law",
    sources=("/home/ada/law",),
    phase="embedding",
    done=5,
    total=20,
    files=9,
    pages=120,
)


@pytest_asyncio.fixture(loop_scope="function")
async def page(
    session: Session, workstation: FakeClient, theme: Theme
) -> AsyncIterator[DocumentsPage]:
    for info in (LEASE, SCAN, BROKEN):
        workstation.documents.known[info.id] = info
        workstation.documents.texts[info.id] = "The rent is 4,250 euros."
    workstation.documents.made["c1"] = LAW
    page = DocumentsPage(session, theme)
    page.resize(1000, 800)
    page.show()
    await until(lambda: page.shelf.loaded)
    await until(lambda: len(page.rows.cards) == 3 and page.cards.cards)
    yield page
    page.close()
    page.deleteLater()


def dialogs(page: DocumentsPage, kind: type[QDialog]) -> list[QDialog]:
    return [dialog for dialog in page.findChildren(kind) if dialog.isVisible()]


async def test_every_document_and_collection_says_what_and_how_far_it_is(
    page: DocumentsPage,
) -> None:
    lease = page.row("d1")
    assert lease.facts.text() == "PDF · 2.40 MB · 12 pages · 9.1 k tokens"
    assert lease.index.text() == "18 passages indexed by words, 50% by meaning"
    assert lease.state.text() == "Ready"
    broken = page.row("d3")
    assert (broken.problem.text(), broken.hint.text()) == ("It is damaged.", "Get it again.")
    assert broken.state.text() == "Not read"
    assert broken.open_button.isHidden()
    law = page.card("c1")
    assert law.state.text() == "Indexing 25%"
    assert law.words.text() == "Indexing 5 of 20 passages (25%)"
    assert "/home/ada/law" in law.sources.text()
    assert page.list.subtitle.text().startswith("3 documents · 1 collection · 4.80 MB")


async def test_where_it_is_used_is_said(page: DocumentsPage, workstation: FakeClient) -> None:
    assert page.row("d1").uses.isHidden()
    chats = [c.id for c in workstation.conversations][:3]
    for chat_id in chats:
        await workstation.documents.set_chat(chat_id, documents=["d1"], collections=["c1"])
    await until(lambda: page.row("d1").uses.text().startswith("Used in 3 chats: “"))
    assert page.row("d1").uses.text().endswith("and 1 more")
    assert page.card("c1").uses.text().startswith("Used in 3 chats")
    page.row("d1").remove_button.click()
    await until(lambda: dialogs(page, Question))
    assert "Used in 3 chats" in dialogs(page, Question)[0].accessibleDescription()
    dialogs(page, Question)[0].choose("cancel")


async def test_progress_is_followed_without_touching_the_page(
    page: DocumentsPage, workstation: FakeClient
) -> None:
    workstation.documents.put(msgspec.structs.replace(LAW, phase="ready", done=20, failed=1))
    await until(lambda: page.card("c1").state.text() == "Ready")
    assert "1 file could not be read" in page.card("c1").words.text()
    reading = msgspec.structs.replace(LEASE, phase="reading", done=3, total=12)
    workstation.documents.put(reading)
    await until(lambda: page.row("d1").state.text() == "Reading 25%")
    assert not page.row("d1").bar.isHidden()


async def test_a_scan_offers_what_this_machine_can_do(
    page: DocumentsPage, workstation: FakeClient
) -> None:
    scan = page.row("d2")
    assert scan.recognise_button.isHidden()
    assert "Install tesseract" in scan.index.text()
    workstation.documents.stored_abilities = msgspec.structs.replace(
        workstation.documents.stored_abilities, ocr=("eng", "rus"), ocr_hint=""
    )
    page.shelf.refresh()
    await until(lambda: not scan.recognise_button.isHidden())
    scan.recognise_button.click()
    await until(lambda: workstation.called("documents.recognise"))
    await until(lambda: scan.state.text().startswith("Reading"))


async def test_a_document_is_opened_beside_the_list(page: DocumentsPage) -> None:
    page.row("d1").open_button.click()
    await until(lambda: page.reader.isVisible() and page.reader.title.text() == "Lease.pdf")
    page.reader.close_button.click()
    assert page.reader.isHidden()


async def test_deleting_asks_and_says_what_goes(
    page: DocumentsPage, workstation: FakeClient
) -> None:
    page.row("d1").remove_button.click()
    await until(lambda: dialogs(page, Question))
    (question,) = dialogs(page, Question)
    assert "copy, its text and its index" in question.accessibleDescription()
    assert "stays where it is" in question.accessibleDescription()
    question.choose("cancel")
    await until(lambda: not dialogs(page, Question))
    assert "d1" in workstation.documents.known
    page.row("d1").remove_button.click()
    await until(lambda: dialogs(page, Question))
    dialogs(page, Question)[0].choose("delete")
    await until(lambda: "d1" not in workstation.documents.known and "d1" not in page.rows.keys)
    page.row("d3").remove_button.click()
    await until(lambda: "d3" not in workstation.documents.known), "nothing is lost with it"


async def test_a_collection_is_made_renamed_paused_rebuilt_and_deleted(
    page: DocumentsPage, workstation: FakeClient, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("words")
    page.new_collection()
    await until(lambda: dialogs(page, CollectionDialog))
    (dialog,) = dialogs(page, CollectionDialog)
    assert isinstance(dialog, CollectionDialog)
    assert not dialog.save_button.isEnabled()
    dialog.add([str(tmp_path)])
    assert dialog.name.text() == tmp_path.name
    dialog.name.setText("Minutes")
    dialog.save_button.click()
    await until(lambda: any(c.name == "Minutes" for c in page.shelf.collections))
    made = next(c for c in page.shelf.collections if c.name == "Minutes")
    assert made.sources == (str(tmp_path),)
    page.card("c1").pause_button.click()
    await until(lambda: page.card("c1").state.text() == "Paused")
    page.card("c1").resume_button.click()
    await until(lambda: page.card("c1").state.text() == "Ready")
    page._edit(page.card("c1").collection)
    await until(lambda: dialogs(page, CollectionDialog))
    (dialog,) = dialogs(page, CollectionDialog)
    assert isinstance(dialog, CollectionDialog)
    dialog.name.setText("The law")
    dialog.save_button.click()
    await until(lambda: page.card("c1").name.text() == "The law")
    changed = workstation.called("documents.update_collection")[-1]
    assert changed["sources"] is None, "sources that were not touched are not sent"
    workstation.documents.put(
        msgspec.structs.replace(workstation.documents.made["c1"], stale="Rebuild it.")
    )
    await until(lambda: not page.card("c1").rebuild_button.isHidden())
    page.card("c1").rebuild_button.click()
    await until(lambda: workstation.called("documents.rebuild_collection"))
    page.card("c1").menu.actions()[-1].trigger()
    await until(lambda: dialogs(page, Question))
    dialogs(page, Question)[0].choose("delete")
    await until(lambda: "c1" not in workstation.documents.made and "c1" not in page.cards.keys)


async def test_the_files_of_a_collection_say_what_became_of_them(
    page: DocumentsPage, workstation: FakeClient
) -> None:
    assert BROKEN.error is not None
    workstation.documents.files["c1"] = (
        CollectionFile(path="/law/b.pdf", name="b.pdf", phase="failed", error=BROKEN.error),
        CollectionFile(path="/law/a.pdf", name="a.pdf", phase="ready"),
    )
    page.card("c1").menu.actions()[1].trigger()
    await until(lambda: dialogs(page, FilesDialog))
    (dialog,) = dialogs(page, FilesDialog)
    assert isinstance(dialog, FilesDialog)
    assert dialog.list.item(0).text() == "/law/b.pdf\nIt is damaged. Get it again."
    dialog.accept()


async def test_filtering_adding_and_what_fails(
    page: DocumentsPage, workstation: FakeClient, tmp_path: Path
) -> None:
    QTest.keyClicks(page.filter, "lease")
    await until(lambda: page.rows.keys == ("d1",))
    assert page.collections_card.isHidden()
    page.filter.clear()
    (tmp_path / "new.txt").write_text("words")
    page.add([str(tmp_path)])
    await until(lambda: any(r.name.text() == "new.txt" for r in page.rows.cards.values()))
    refusal = AppError("payload_too_large", "The disk is full.", "Free some room.")
    workstation.documents.fail_next("documents.add", refusal)
    page.add([str(tmp_path / "new.txt")])
    await until(lambda: "documents" in page.problems.keys)


async def test_asking_about_it_hands_it_to_a_chat(page: DocumentsPage) -> None:
    asked: list[object] = []
    page.chat_requested.connect(asked.append)
    page.row("d1").chat_button.click()
    page.card("c1").chat_button.click()
    assert [getattr(item, "id", "") for item in asked] == ["d1", "c1"]


async def test_another_model_for_the_search_is_chosen(
    page: DocumentsPage, workstation: FakeClient
) -> None:
    workstation.documents.stored_abilities = msgspec.structs.replace(
        workstation.documents.stored_abilities, embedders=("all-MiniLM-L6-v2", "bge-small")
    )
    page.shelf.refresh()
    await until(lambda: page.search.embedder.count() == 2)
    page.search.embedder.activated.emit(page.search.embedder.findData("bge-small"))
    page.search.embedder.setCurrentIndex(1)
    page.search.embedder.activated.emit(1)
    await until(lambda: workstation.documents.stored_abilities.embedder == "bge-small")


async def test_of_many_documents_only_those_near_the_screen_exist(
    page: DocumentsPage, workstation: FakeClient
) -> None:
    for n in range(200):
        info = msgspec.structs.replace(LEASE, id=f"x{n}", name=f"{n:03}.pdf")
        workstation.documents.known[info.id] = info
    page.shelf.refresh()
    await until(lambda: len(page.rows.keys) == 203)
    await until(lambda: page.rows.cards)
    assert len(page.rows.cards) < 40
    assert page.row("x150").name.text() == "150.pdf"


async def test_without_documents_the_page_teaches(
    page: DocumentsPage, workstation: FakeClient
) -> None:
    workstation.documents.known.clear()
    workstation.documents.made.clear()
    page.shelf.refresh()
    await until(lambda: page.stack.currentWidget() is page.empty)
