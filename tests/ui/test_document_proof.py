"""Proof: citations in an answer, the passage on hover, the reader with the sentence boxed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication, QImage, QMouseEvent
from PySide6.QtTest import QTest

from doubles.chat_desk import ChatDesk, open_desk
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.chats.message_view import AssistantMessage
from freehold.ui.chats.prose_view import ProseView
from freehold.ui.documents.citation_card import passage_html
from freehold.ui.documents.citing import SCHEME, area_of
from freehold.ui.documents.proof_view import proof_words
from freehold.ui.state.reading import (
    VIEW_CHARACTERS,
    Reading,
    find_all,
    marked_share,
    page_of,
    view_range,
)
from freehold.ui.theme import Theme
from freehold.wire import Message
from freehold.wire_documents import DocumentInfo, TextPage
from freehold.wire_grounds import DocumentCitation, Grounds

SENTENCE = "The yearly rent is 4,250 euros, due on the third of March."
TEXT = f"# Lease\n\n{'It is a boathouse. ' * 40}\n\n{SENTENCE}\n\n| A | B |\n|---|---|\n| 1 | 2 |\n"
ANSWER = "The rent is **4,250 euros** [1]. It is due in March [2].\n\n- see `a[1]` and [7]\n"


def cite(number: int, quote: str, document_id: str = "d1", text: str = TEXT) -> DocumentCitation:
    start = text.index(quote)
    return DocumentCitation(
        number=number,
        document_id=document_id,
        file="Lease of the boathouse.md",
        page=1,
        page_word="page",
        quote=quote,
        start=start,
        end=start + len(quote),
    )


CITATIONS = (cite(1, SENTENCE), cite(2, "due on the third of March"))
GROUNDS = Grounds(mode="whole", says="whole document (41 k tokens)", citations=CITATIONS, files=1)


def page_picture(width: int = 400, height: int = 566) -> bytes:
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(0xFFFFFFFF)
    content = QByteArray()
    buffer = QBuffer(content)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    return bytes(content.data())


@pytest_asyncio.fixture(loop_scope="function")
async def desk() -> AsyncIterator[ChatDesk]:
    async with open_desk() as desk:
        known = desk.client.documents
        for document_id, has_pages in (("d1", False), ("d2", True)):
            known.known[document_id] = DocumentInfo(
                id=document_id,
                name="Lease of the boathouse.md",
                phase="ready",
                kind="pdf" if has_pages else "markdown",
                page_count=1,
                characters=len(TEXT),
                has_pages=has_pages,
            )
            known.texts[document_id] = TEXT
            known.images[(document_id, 1)] = page_picture()
        yield desk


async def answered(desk: ChatDesk, grounds: Grounds, text: str = ANSWER) -> AssistantMessage:
    """Open a chat whose one answer rests on documents."""
    tree = desk.client.conversations
    chat = tree.create(title="Lease", model_ref="tiny", now=1.0)
    asked = chat.add(
        Message(id="q", chat_id=chat.id, parent_id=None, role="user", content="What is the rent?")
    )
    chat.add(
        Message(
            id="a",
            chat_id=chat.id,
            parent_id=asked.id,
            role="assistant",
            content=text,
            model_ref="tiny",
            grounds=grounds,
        )
    )
    desk.page.show_chat(chat.id)
    await until(lambda: desk.answers and desk.answers[-1].body.views)
    await until(lambda: desk.page.transcript.is_settled)
    return desk.answers[-1]


def prose(answer: AssistantMessage) -> ProseView:
    view = answer.body.views[0]
    assert isinstance(view, ProseView)
    return view


def anchors(view: ProseView) -> dict[str, str]:
    """Return the text of every link by where it leads."""
    found: dict[str, str] = {}
    block = view.document().begin()
    while block.isValid():
        at = block.begin()
        while not at.atEnd():
            fragment = at.fragment()
            if fragment.charFormat().isAnchor():
                href = fragment.charFormat().anchorHref()
                found[href] = found.get(href, "") + fragment.text()
            at += 1
        block = block.next()
    return found


# --- citations in the text -------------------------------------------------------------------


async def test_marks_with_a_citation_become_chips_and_others_stay_text(desk: ChatDesk) -> None:
    answer = await answered(desk, GROUNDS)
    view = prose(answer)
    assert anchors(view) == {f"{SCHEME}:1": "[1]", f"{SCHEME}:2": "[2]"}
    assert "see a[1] and [7]" in view.toPlainText(), "code and unknown numbers are left alone"
    view.selectAll()
    assert "euros [1]." in view.textCursor().selectedText(), "what is copied says [1]"
    at = view.toPlainText().index("[1]")
    area = area_of(view.document(), at, 3)
    assert area is not None
    assert area.width() > 8


async def test_a_link_of_the_model_cannot_pose_as_a_citation(desk: ChatDesk) -> None:
    answer = await answered(desk, GROUNDS, f"[here]({SCHEME}:1) and [1].")
    assert anchors(prose(answer)) == {f"{SCHEME}:1": "[1]"}


async def test_an_answer_without_documents_keeps_its_brackets(desk: ChatDesk) -> None:
    answer = await desk.ask("Q", "An array has [1] and [2].")
    assert anchors(prose(answer)) == {}
    assert answer.proof is None


async def test_citations_come_when_the_streamed_answer_is_complete(desk: ChatDesk) -> None:
    text = "The rent is 4,250 euros [1]."
    reply = desk.client.script_reply([text], hold=True, grounds=GROUNDS)
    desk.write("What is the rent?")
    await until(lambda: desk.answers and "4,250" in desk.answers[-1].body.text)
    assert anchors(prose(desk.answers[-1])) == {}
    reply.released.set()
    await desk.idle()
    await until(lambda: anchors(prose(desk.answers[-1])) == {f"{SCHEME}:1": "[1]"})
    assert desk.answers[-1].proof is not None


async def test_the_proof_names_how_documents_were_used_and_every_source(desk: ChatDesk) -> None:
    answer = await answered(desk, GROUNDS)
    proof = answer.proof
    assert proof is not None
    assert proof.line.text() == "whole document (41 k tokens)"
    names = [button.accessibleName() for button in proof.sources.buttons]
    assert names == [
        "Citation 1: Lease of the boathouse.md, page 1",
        "Citation 2: Lease of the boathouse.md, page 1",
    ]
    assert proof.absent.isHidden()


@pytest.mark.parametrize(
    ("grounds", "words"),
    [
        (Grounds(mode="whole", files=1, document_tokens=41_000), "whole document (41 k tokens)"),
        (Grounds(mode="searched", passages=12, files=3), "12 passages of 3 files"),
        (Grounds(mode="all", files=2), "every passage of 2 files, one after another"),
        (
            Grounds(mode="searched", passages=1, files=1, dropped=2, notes=("One was cut.",)),
            "1 passage of 1 file · 2 citations that did not hold left out · One was cut",
        ),
    ],
)
def test_how_documents_were_used_is_said_in_words(grounds: Grounds, words: str) -> None:
    assert proof_words(grounds) == words


async def test_not_in_the_documents_is_an_answer_of_its_own(desk: ChatDesk) -> None:
    grounds = Grounds(mode="searched", passages=12, files=3, is_absent=True)
    answer = await answered_absent(desk, grounds)
    assert answer.proof is not None
    assert not answer.proof.absent.isHidden()
    assert "Not in the documents" in answer.proof.absent.text
    assert "12 passages of 3 files" in answer.proof.absent.text
    assert "Other words may find" in answer.proof.absent.text
    assert answer.body.isHidden(), "the same is not said twice"


async def answered_absent(desk: ChatDesk, grounds: Grounds) -> AssistantMessage:
    tree = desk.client.conversations
    chat = tree.create(title="Lease", model_ref="tiny", now=1.0)
    chat.add(
        Message(
            id="a",
            chat_id=chat.id,
            parent_id=None,
            role="assistant",
            content="Not in the documents.",
            model_ref="tiny",
            grounds=grounds,
        )
    )
    desk.page.show_chat(chat.id)
    await until(lambda: desk.answers)
    return desk.answers[-1]


# --- hover -----------------------------------------------------------------------------------


async def test_resting_on_a_citation_shows_its_passage(desk: ChatDesk) -> None:
    await answered(desk, GROUNDS)
    side = desk.page.side
    side.hover_citation("a", 1, QPoint(300, 200))
    card = side.hover.card
    await until(lambda: card.isVisible() and "boathouse" in card.passage.text())
    assert card.place.text() == "Lease of the boathouse.md, page 1"
    assert "4,250 euros" in card.passage.text()
    side.hover_citation("a", 0, QPoint())
    await until(lambda: not card.isVisible())
    side.hover_citation("a", 99, QPoint())
    assert not card.isVisible()


def test_markup_in_a_passage_is_text(theme: Theme) -> None:
    evil = cite(1, "due on")
    html = passage_html(evil, "<img src=file:///etc/passwd>", "<b>x</b>", theme)
    assert "<img" not in html
    assert "&lt;img" in html
    assert "<b>" not in html


# --- the reader ------------------------------------------------------------------------------


def click(view: ProseView, at: int) -> None:
    """Click on a character as a person would."""
    area = area_of(view.document(), at, 3)
    assert area is not None
    place = QPointF(area.center())
    for kind in (QMouseEvent.Type.MouseButtonPress, QMouseEvent.Type.MouseButtonRelease):
        QGuiApplication.sendEvent(
            view.viewport(),
            QMouseEvent(
                kind,
                place,
                view.viewport().mapToGlobal(place),
                Qt.MouseButton.LeftButton,
                Qt.MouseButton.LeftButton,
                Qt.KeyboardModifier.NoModifier,
            ),
        )


async def test_a_click_on_a_citation_boxes_its_sentence(desk: ChatDesk) -> None:
    answer = await answered(desk, GROUNDS)
    view = prose(answer)
    reader = desk.page.side.reader
    assert reader.isHidden()
    click(view, view.toPlainText().index("[1]"))
    await until(lambda: reader.stack.currentWidget() is reader.text_view)
    await until(lambda: reader.text_view.marked_text == SENTENCE)
    await until(lambda: reader.text_view.mark_areas())
    areas = reader.text_view.mark_areas()
    shown = reader.text_view.viewport().rect()
    assert all(shown.contains(area.center().toPoint()) for area in areas), "scrolled into view"
    assert reader.citation_words.text() == "Citation 1 of 2, page 1"
    reader.on_button.click()
    await until(lambda: reader.text_view.marked_text == "due on the third of March")
    reader.on_button.click()
    await until(lambda: reader.text_view.marked_text == SENTENCE)
    reader.copy()
    assert QGuiApplication.clipboard().text() == SENTENCE
    QTest.keyClick(reader, Qt.Key.Key_Escape)
    assert reader.isHidden()
    assert not desk.page.panel.isHidden()


async def test_a_page_is_shown_as_it_looks_with_its_mark(desk: ChatDesk) -> None:
    citation = cite(1, SENTENCE, "d2")
    await answered(desk, Grounds(mode="whole", citations=(citation,), files=1))
    desk.page.side.open_citation("a", 1)
    reader = desk.page.side.reader
    await until(lambda: not reader.page_view.picture.pixmap().isNull())
    call = desk.client.called("documents.page_image")[-1]
    assert (call["page"], call["start"], call["end"]) == (1, citation.start, citation.end)
    assert reader.stack.currentWidget() is reader.page_view
    pictures = len(desk.client.called("documents.page_image"))
    reader.zoom_in.click()
    await until(lambda: len(desk.client.called("documents.page_image")) > pictures)
    assert "125%" in reader.count.text()
    reader.text_button.click()
    await until(lambda: reader.text_view.marked_text == SENTENCE)
    reader.text_button.click()
    await until(lambda: reader.stack.currentWidget() is reader.page_view)


async def test_a_page_that_cannot_be_drawn_is_shown_as_text(desk: ChatDesk) -> None:
    citation = cite(1, SENTENCE, "d2")
    await answered(desk, Grounds(mode="whole", citations=(citation,), files=1))
    changed = AppError("conflict", "“a.pdf” was changed since it was read.", "Add it again.")
    desk.client.documents.fail_next("documents.page_image", changed)
    desk.page.side.open_citation("a", 1)
    reader = desk.page.side.reader
    await until(lambda: reader.text_view.marked_text == SENTENCE)
    assert "was changed" in reader.note.text()
    desk.client.documents.images[("d2", 1)] = b"no picture"
    reader.text_button.click()
    await until(lambda: "cannot be shown as a picture" in reader.note.text())
    await until(lambda: reader.stack.currentWidget() is reader.text_view)


async def test_words_are_found_in_the_whole_document(desk: ChatDesk) -> None:
    await answered(desk, GROUNDS)
    desk.page.side.open_document("d1")
    reader = desk.page.side.reader
    await until(lambda: reader.stack.currentWidget() is reader.text_view)
    reader.search_button.setChecked(True)
    QTest.keyClicks(reader.words, "yearly rent")
    await until(lambda: reader.found.text() == "1 of 1")
    await until(lambda: reader.text_view.marked_text == "yearly rent")
    reader.words.setText("purple")
    await until(lambda: reader.found.text() == "not found")
    reader.words.setText("boathouse")
    await until(lambda: reader.found.text() == "1 of 40")
    reader.reading.step_hit(-1)
    await until(lambda: reader.found.text() == "40 of 40")


async def test_a_document_that_is_gone_is_said_in_words(desk: ChatDesk) -> None:
    await answered(desk, GROUNDS)
    del desk.client.documents.known["d1"]
    desk.page.side.open_citation("a", 1)
    reader = desk.page.side.reader
    await until(lambda: reader.stack.currentWidget() is reader.problem)
    desk.client.documents.fail_next("documents.get", AppError("internal", "It broke.", "Retry."))
    desk.page.side.open_document("d2")
    await until(lambda: not desk.client._failures["documents.get"])


# --- what the view-model decides -------------------------------------------------------------


def test_a_long_text_is_shown_in_parts_and_short_pages_whole() -> None:
    pages = (TextPage(number=1, start=0, end=100), TextPage(number=2, start=100, end=90_000))
    assert view_range(pages, 5, 90_000) == (0, 100)
    assert view_range(pages, 100, 90_000) == (100, 100 + VIEW_CHARACTERS)
    last = view_range(pages, 89_999, 90_000)
    assert last[1] == 90_000
    assert last[1] - last[0] <= VIEW_CHARACTERS
    assert view_range((), 0, 10) == (0, 10)
    assert page_of(pages, 99) == 1
    assert page_of(pages, 100) == 2
    assert page_of((), 5) == 1


@pytest.mark.parametrize(
    ("words", "share"),
    [("0.4000 0.5000", 0.45), ("", None), ("here", None), ("0.9 0.1", None), ("1 2 3", None),
     ("nan nan", None), ("0.5 7", None)],
)  # fmt: skip
def test_a_picture_says_where_its_mark_is(words: str, share: float | None) -> None:
    picture = QImage(4, 4, QImage.Format.Format_RGB32)
    picture.setText("mark", words)
    found = marked_share(picture)
    assert found == (None if share is None else pytest.approx(share))


def test_found_places_are_characters_however_they_are_written() -> None:
    assert find_all("Straße\nSTRASSE  straße", "straße", 10) == [(10, 16), (26, 32)]
    assert find_all("a b\n  b", "b b", 0) == [(2, 7)]
    assert find_all("x", "(", 0) == []


async def test_a_late_page_does_not_replace_the_one_asked_for_since(desk: ChatDesk) -> None:
    reading = Reading(desk.session)
    shown: list[object] = []
    reading.text_came.connect(shown.append)
    reading.open("d1")
    reading.open("d2")
    await until(lambda: reading.info is not None and reading.info.id == "d2")
    reading.show_as_text(True)
    await until(lambda: shown)
    assert reading.info is not None
    assert reading.info.id == "d2"
    reading.close()
    assert reading.citation is None
