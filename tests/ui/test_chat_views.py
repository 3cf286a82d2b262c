"""The parts an answer is drawn with: prose, code, tables, the body that joins them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import shiboken6
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QToolButton, QWidget

from doubles.markdown_answers import mixed_answer, tokens
from freehold.ui.chats.body_view import CARET, BodyView, with_caret
from freehold.ui.chats.code_view import SHOWN_LINES, CodeView, clip_lines
from freehold.ui.chats.highlighting import CodeHighlighter
from freehold.ui.chats.markdown import markdown_document
from freehold.ui.chats.notices import progress_text
from freehold.ui.chats.prose_view import ProseView
from freehold.ui.chats.settings_panel import changed_only
from freehold.ui.chats.sheet import SHEET
from freehold.ui.chats.table_view import MarkdownTable
from freehold.ui.theme import Theme
from freehold.wire import ReplyProgress


@pytest.fixture
def theme(qapp: QApplication) -> Iterator[Theme]:
    theme = Theme(qapp, setting="light")
    yield theme
    shiboken6.delete(theme)


@pytest.fixture
def window(qapp: QApplication, theme: Theme) -> Iterator[QWidget]:
    window = QWidget()
    window.setStyleSheet(theme.fill(SHEET))
    window.resize(700, 500)
    window.show()
    yield window
    shiboken6.delete(window)


def wheel(view: QWidget, *, down: int = 0, sideways: int = 0) -> QWheelEvent:
    event = QWheelEvent(
        QPointF(5, 5),
        view.mapToGlobal(QPointF(5, 5)),
        QPoint(),
        QPoint(sideways, down),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    view.wheelEvent(event)
    return event


def test_a_streamed_body_ends_as_one_drawn_at_once(theme: Theme, window: QWidget) -> None:
    text = mixed_answer(12_000, seed=5)
    streamed, whole = BodyView(theme, window), BodyView(theme, window)
    for count, piece in enumerate(tokens(text)):
        streamed.set_text(streamed.text + piece)
        if count % 40 == 0:
            streamed.draw(budget_s=10)
    for body in (streamed, whole):
        body.set_text(text)
        body.finish()
        assert body.draw(budget_s=10)

    def contents(body: BodyView) -> list[str]:
        return [
            view.toPlainText() if isinstance(view, ProseView) else getattr(view, "text", "table")
            for view in body.views
        ]

    assert contents(streamed) == contents(whole)
    assert len(whole.views) > 10
    assert CARET not in "".join(contents(streamed))
    assert streamed.heightForWidth(600) == whole.heightForWidth(600)


def test_frozen_segments_are_drawn_once(
    theme: Theme, window: QWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    original = ProseView.show_markdown
    monkeypatch.setattr(
        ProseView,
        "show_markdown",
        lambda self, text: (drawn.append(text), original(self, text))[1],
    )
    body = BodyView(theme, window)
    first = "# One\n\n```py\nx\n```\n\n"
    body.set_text(first + "Two")
    body.draw(budget_s=10)
    drawn.clear()
    body.set_text(first + "Two, three")
    body.draw(budget_s=10)
    assert drawn == [f"\nTwo, three{CARET}"]


def test_a_text_that_is_not_a_continuation_starts_over(theme: Theme, window: QWidget) -> None:
    body = BodyView(theme, window)
    body.set_text("Wrong beginning")
    body.draw()
    body.set_text("Right text")
    body.finish()
    body.draw(budget_s=10)
    assert [view.toPlainText() for view in body.views] == ["Right text"]


def test_prose_is_as_high_as_its_text_and_leaves_the_wheel_alone(
    theme: Theme, window: QWidget
) -> None:
    view = ProseView(theme, window)
    view.show_markdown("word " * 300)
    wide, narrow = view.heightForWidth(640), view.heightForWidth(200)
    assert narrow > 2 * wide
    view.setGeometry(0, 0, 200, narrow)
    view.show()
    assert view.verticalScrollBar().maximum() == 0
    assert not wheel(view, down=-120).isAccepted()


def test_headings_lists_and_code_are_told_apart(theme: Theme) -> None:
    document = markdown_document("# Big\n\ntext `code`\n\n7. seven\n8. eight\n", theme)
    block = document.begin()
    size = block.begin().fragment().charFormat().fontPointSize()
    assert size > 1.3 * theme.font().pointSizeF()
    lists = [
        b.textList().format().start()
        for b in (document.findBlockByNumber(n) for n in range(document.blockCount()))
        if b.textList() is not None
    ]
    assert lists == [7, 7]
    assert theme.hex("surface-sunken") in document.toHtml()


def test_code_is_capped_and_expands(theme: Theme, window: QWidget) -> None:
    view = CodeView(theme, "python", window)
    view.show_code("\n".join(f"x = {n}" for n in range(400)), finished=True)
    more = next(b for b in view.findChildren(QToolButton) if "Show all" in b.text())
    assert more.text() == "Show all 400 lines"
    capped = view.heightForWidth(600)
    more.click()
    assert more.text() == "Show less"
    line = view._edit.fontMetrics().lineSpacing()
    assert view.heightForWidth(600) == capped + (400 - SHOWN_LINES) * line


def test_code_grows_by_what_is_new_and_is_coloured(theme: Theme, window: QWidget) -> None:
    view = CodeView(theme, "python", window)
    code = 'def f(x):\n    """Say."""\n    return x + 1  # more\n\n\nclass Ä😀:\n    y = "s"\n'
    for end in range(5, len(code), 7):
        view.show_code(code[:end], finished=False)
        while view.color_step():
            pass
    view.show_code(code, finished=True)
    while view.color_step():
        pass
    assert view._edit.toPlainText() == code
    assert view.text == code
    colors = {
        (block, f.format.foreground().color().name())
        for block in range(view._edit.blockCount())
        for f in view._edit.document().findBlockByNumber(block).layout().formats()
    }
    assert (0, theme.hex("code-keyword")) in colors
    assert (1, theme.hex("code-string")) in colors
    assert (2, theme.hex("code-comment")) in colors
    assert (6, theme.hex("code-string")) in colors


def test_colours_while_streaming_do_not_read_everything_again(
    theme: Theme, window: QWidget
) -> None:
    view = CodeView(theme, "python", window)
    code = "".join(f"def f{n}(x):\n    return x + {n}\n\n\n" for n in range(400))
    view.show_code(code, finished=False)
    highlighter = view.findChildren(CodeHighlighter) or [view._highlighter]
    while view.color_step():
        pass
    view.show_code(code + "def last(x):\n    return 1\n", finished=False)
    began = time.thread_time()
    while view.color_step():
        pass
    assert time.thread_time() - began < 0.05
    assert highlighter[0]._checkpoint[0] > len(code) - 5_000


def test_an_endless_line_of_code_does_not_freeze(theme: Theme, window: QWidget) -> None:
    view = CodeView(theme, "json", window)
    text = '{"a": "' + "x" * 1_000_000 + '"}\nend'
    began = time.thread_time()
    view.show_code(text, finished=True)
    while view.color_step():
        pass
    view.grab()
    assert time.thread_time() - began < 1.0
    assert view.text == text
    assert len(clip_lines(text)) < 6_000
    assert clip_lines("short\nlines") == "short\nlines"


def test_a_table_becomes_a_grid_when_it_grows(theme: Theme, window: QWidget) -> None:
    table = MarkdownTable(theme, window)
    table.show()
    text = "| a | b |\n|--:|---|\n"
    for number in range(200):
        text += f"| {number} | **x** `y` |\n"
        table.show_table(text + "| half", finished=False)
    table.show_table(text, finished=True)
    assert table.is_grid
    assert table.row_count == 200
    table.setGeometry(0, 0, 600, table.heightForWidth(600))
    table.show()
    assert table._grid is not None
    assert table._grid.isVisible()
    assert table._grid.height() > 200
    grid = table._grid
    assert grid is not None
    assert grid.grid.data(grid.grid.index(199, 0)) == "199"
    assert grid.grid.data(grid.grid.index(0, 1)) == "x y"
    assert not wheel(grid, down=-120).isAccepted()


def test_small_texts() -> None:
    assert with_caret("text\n\n") == f"text{CARET}"
    assert with_caret("see https://x.org/a") == f"see https://x.org/a {CARET}"
    assert with_caret("") == CARET
    progress = ReplyProgress(chat_id="c", message_id="m", phase="queued", done=2)
    assert progress_text(progress, None, 0) == "Waiting: 2 ahead in the queue"
    assert progress_text(None, None, 12.3) == "Writing… 12.3 tokens/s"
    assert changed_only({"temperature": -0.05, "top_k": 40, "seed": 7}) == {"seed": 7}
