"""HTML as Markdown: headings, lists, tables and code kept; scripts, styles and links left out.

The parser works through the text once, without recursion, and loads nothing.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

from freehold.documents.composer import to_table

_SKIPPED: Final = frozenset(("script", "style", "template", "noscript", "svg", "math", "iframe"))
_BLOCKS: Final = frozenset(
    [
        "p",
        "div",
        "section",
        "article",
        "header",
        "footer",
        "main",
        "aside",
        "blockquote",
        "ul",
        "ol",
        "dl",
        "dt",
        "dd",
        "figure",
        "figcaption",
        "form",
        "fieldset",
        "address",
        "hr",
        "body",
        "nav",
        "center",
    ]
)
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_SPACE: Final = re.compile(r"[ \t\r\n\f\v]+")


class MarkdownMaker(HTMLParser):
    """Collects blocks of Markdown from HTML fed to it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = []
        self.title = ""
        self._inline: list[str] = []
        self._skip: str | None = None
        self._skip_depth = 0
        self._heading = 0
        self._item = False
        self._pre = 0
        self._in_title = False
        self._rows: list[list[str]] | None = None
        self._cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin what an element begins."""
        if self._skip is not None:
            self._skip_depth += tag == self._skip
            return
        if tag in _SKIPPED:
            self._skip, self._skip_depth = tag, 1
        elif tag == "title":
            self._in_title = True
        elif self._cell is not None and tag in ("br", "p", "div", "li"):
            self._cell.append(" ")
        elif tag == "br":
            self._inline.append("\n")
        elif tag == "img":
            alt = dict(attrs).get("alt")
            if alt:
                self.handle_data(f" [picture: {alt}] ")
        else:
            self._begin_block(tag)

    def _begin_block(self, tag: str) -> None:
        if tag == "table" and self._rows is None:
            self._end_block()
            self._rows = []
        elif tag == "tr" and self._rows is not None:
            self._end_cell()
            self._rows.append([])
        elif tag in ("td", "th") and self._rows is not None:
            self._end_cell()
            self._cell = []
        elif self._rows is not None:
            return
        elif tag == "pre":
            self._end_block()
            self._pre += 1
        elif tag in _HEADINGS:
            self._end_block()
            self._heading = _HEADINGS[tag]
        elif tag == "li":
            self._end_block()
            self._item = True
        elif tag in _BLOCKS:
            self._end_block()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element without content; one that would be skipped skips nothing."""
        if tag not in _SKIPPED and tag != "title":
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """End what an element ends."""
        if self._skip is not None:
            self._skip_depth -= tag == self._skip
            if self._skip_depth <= 0:
                self._skip = None
        elif tag == "title":
            self._in_title = False
        elif self._rows is not None:
            if tag in ("td", "th", "tr"):
                self._end_cell()
            elif tag == "table":
                self._end_table()
        elif tag == "pre" or tag in _HEADINGS or tag == "li" or tag in _BLOCKS:
            self._end_block()

    def handle_data(self, data: str) -> None:
        """Take text."""
        if self._skip is not None:
            return
        if self._in_title:
            self.title += data
        elif self._cell is not None:
            self._cell.append(data)
        elif self._rows is None:
            self._inline.append(data if self._pre else _SPACE.sub(" ", data))

    def close(self) -> None:
        """End everything that is still open."""
        super().close()
        if self._rows is not None:
            self._end_table()
        self._end_block()

    def _end_cell(self) -> None:
        cell, self._cell = self._cell, None
        if cell is None or self._rows is None:
            return
        if not self._rows:
            self._rows.append([])
        self._rows[-1].append(_SPACE.sub(" ", "".join(cell)).strip())

    def _end_table(self) -> None:
        self._end_cell()
        rows, self._rows = self._rows, None
        table = to_table(rows or [])
        if table:
            self.blocks.append(table)

    def _end_block(self) -> None:
        raw = "".join(self._inline)
        self._inline.clear()
        heading, self._heading = self._heading, 0
        item, self._item = self._item, False
        pre = self._pre > 0
        self._pre = max(0, self._pre - 1) if pre else 0
        if pre and raw.strip():
            self.blocks.append(f"```\n{raw.strip(chr(10))}\n```")
            return
        text = "\n".join(line.strip() for line in raw.split("\n")).strip()
        if not text:
            self._item = item and not raw.strip()
            return
        if heading:
            text = f"{'#' * heading} " + text.replace("\n", " ")
        elif item:
            text = "- " + text.replace("\n", "\n  ")
        self.blocks.append(text)


def to_markdown(text: str) -> tuple[list[str], str]:
    """Return the blocks of a page of HTML as Markdown, and its title."""
    maker = MarkdownMaker()
    maker.feed(text)
    maker.close()
    return maker.blocks, _SPACE.sub(" ", maker.title).strip()
