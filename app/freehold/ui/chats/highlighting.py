"""Colours for code, worked out in small steps so that the window never waits for them.

Pygments reads a text from its beginning; while code streams in, that would be quadratic. So what
was coloured up to a *checkpoint* (an unindented line behind a blank one, outside strings and
comments) stays, and only the text behind it is read again. When the code is complete it is read
once as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Token, _TokenType
from pygments.util import ClassNotFound
from PySide6.QtGui import QSyntaxHighlighter, QTextCharFormat, QTextDocument

from freehold.ui.theme import Theme

SLICE_S: Final = 0.003
LARGEST_CHARS: Final = 200_000  # beyond this, colours cost more than they tell
TAIL_CHARS: Final = 4_000  # how much of a growing text is read again at most
_PLAIN: Final = frozenset({"", "text", "txt", "plain", "plaintext", "output", "console-output"})

_ROLES: Final[tuple[tuple[Any, str], ...]] = (
    (Token.Comment, "code-comment"),
    (Token.Keyword.Type, "code-type"),
    (Token.Keyword, "code-keyword"),
    (Token.Operator.Word, "code-keyword"),
    (Token.String, "code-string"),
    (Token.Number, "code-number"),
    (Token.Name.Function, "code-function"),
    (Token.Name.Class, "code-type"),
    (Token.Name.Builtin, "code-type"),
    (Token.Name.Decorator, "code-function"),
    (Token.Name.Tag, "code-keyword"),
    (Token.Name.Attribute, "code-function"),
    (Token.Name.Constant, "code-number"),
    (Token.Generic.Heading, "code-function"),
    (Token.Generic.Inserted, "code-string"),
    (Token.Generic.Deleted, "code-number"),
    (Token.Generic.Prompt, "code-comment"),
)
Span = tuple[int, int, str]  # start, length, colour token


def find_lexer(language: str) -> Lexer | None:
    """Return the lexer of a language named in a code fence."""
    if language in _PLAIN:
        return None
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


@lru_cache(maxsize=512)
def role_of(kind: _TokenType) -> str | None:
    """Return the colour of a token, None for the colour of text."""
    for parent, role in _ROLES:
        if kind in parent:
            return role
    return None


class CodeHighlighter(QSyntaxHighlighter):
    """Colours one code block's document.

    `follow` after text was added, `finish` at its end; then `step` until it returns False.
    """

    def __init__(self, document: QTextDocument, theme: Theme, language: str) -> None:
        super().__init__(document)
        self._theme = theme
        self._lexer = find_lexer(language)
        self._lines: list[list[Span]] = []
        self._formats: dict[str, QTextCharFormat] = {}
        self._checkpoint = (0, 0)  # character, line
        self._job: Iterator[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Return whether colours are still being worked out."""
        return self._job is not None

    def follow(self, text: str) -> None:
        """Colour a text that is still growing."""
        character, line = self._checkpoint
        if self._lexer is None or len(text) - character > LARGEST_CHARS:
            return
        if len(text) - character > TAIL_CHARS:  # no checkpoint in sight: begin at a later line
            character = text.rfind("\n", 0, len(text) - TAIL_CHARS // 2) + 1
            line = text.count("\n", 0, character)
            self._checkpoint = (character, line)
        self._job = self._read(text, character, line, moving=True)

    def finish(self, text: str) -> None:
        """Colour a complete text."""
        if self._lexer is not None and len(text) <= LARGEST_CHARS:
            self._job = self._read(text, 0, 0, moving=False)

    def step(self, budget_s: float = SLICE_S) -> bool:
        """Colour for a moment; return whether more waits."""
        if self._job is None:
            return False
        until = time.perf_counter() + budget_s
        for _ in self._job:
            if time.perf_counter() > until:
                return True
        self._job = None
        return False

    def draw_again(self) -> None:
        """Use the theme's present colours."""
        self._formats.clear()
        self.rehighlight()

    def highlightBlock(self, text: str) -> None:
        number = self.currentBlock().blockNumber()
        if number < len(self._lines):
            for start, length, role in self._lines[number]:
                self.setFormat(start, length, self._format(role))

    # --- inside ----------------------------------------------------------------------------------

    def _format(self, role: str) -> QTextCharFormat:
        form = self._formats.get(role)
        if form is None:
            form = self._formats[role] = QTextCharFormat()
            form.setForeground(self._theme.color(role))
            form.setFontItalic(role == "code-comment")
        return form

    def _read(self, text: str, character: int, line: int, *, moving: bool) -> Iterator[None]:
        """Read tokens behind a place, line by line, and colour the lines that changed."""
        assert self._lexer is not None
        spans: list[Span] = []
        column, blank = 0, False
        for index, kind, value in self._lexer.get_tokens_unprocessed(text[character:]):
            role = role_of(kind)
            pieces = value.split("\n")
            for number, piece in enumerate(pieces):
                if number:
                    self._set_line(line, spans)
                    line, spans, blank, column = line + 1, [], column == 0, 0
                    if (
                        moving
                        and blank
                        and number == len(pieces) - 1
                        and not piece
                        and kind in Token.Text
                    ):
                        place = character + index + len(value)
                        if text[place : place + 1] not in ("", " ", "\t", "\n"):
                            self._checkpoint = (place, line)
                    yield
                if role is not None and piece:
                    spans.append((column, _units(piece), role))
                column += _units(piece)
            yield
        self._set_line(line, spans)

    def _set_line(self, number: int, spans: list[Span]) -> None:
        while len(self._lines) <= number:
            self._lines.append([])
        if self._lines[number] != spans:
            self._lines[number] = spans
            block = self.document().findBlockByNumber(number)
            if block.isValid():
                self.rehighlightBlock(block)


def _units(text: str) -> int:
    """Return the length of a text as Qt counts: in UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
