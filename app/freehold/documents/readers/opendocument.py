"""ODT, ODS and ODP: the format's XML read as a stream of elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from freehold.documents import limits, refusals
from freehold.documents.archive import open_archive, read_member
from freehold.documents.composer import Composer, Source
from freehold.documents.readers.sheets import MAX_COLUMNS, CellLimit
from freehold.documents.values import Kind, PageWord, ParsedDocument

OFFICE: Final = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
TEXT: Final = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
TABLE: Final = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
DRAW: Final = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
DEEPEST: Final = 200
# A row repeated more often than this is the empty rest of a sheet, or a trap.
MAX_REPEAT: Final = 1000


def read_odt(source: Source) -> ParsedDocument:
    """Return a text document."""
    return _read(source, "odt", "part")


def read_ods(source: Source) -> ParsedDocument:
    """Return a book of sheets."""
    return _read(source, "ods", "sheet")


def read_odp(source: Source) -> ParsedDocument:
    """Return a presentation."""
    return _read(source, "odp", "slide")


def _read(source: Source, kind: Kind, page_word: PageWord) -> ParsedDocument:
    composer = Composer(source.name, page_word=page_word)
    with open_archive(source.file, source.name) as archive:
        if b"encryption-data" in read_member(archive, "META-INF/manifest.xml", source.name):
            raise refusals.encrypted(source.name)
        content = read_member(archive, "content.xml", source.name)
    try:
        body = fromstring(content, forbid_dtd=True).find(f"{OFFICE}body")
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise refusals.damaged(source.name, "its XML is damaged or unsafe") from error
    if body is None:
        raise refusals.damaged(source.name, "it has no body")
    walker = _Walker(composer, source, kind)
    walker.walk(body, 0)
    return composer.finish(kind)


class _Walker:
    def __init__(self, composer: Composer, source: Source, kind: Kind) -> None:
        self._composer = composer
        self._source = source
        self._kind = kind
        self._cells = CellLimit(source.name)
        self._page = 0

    def walk(self, element: Element, depth: int) -> None:
        if depth > DEEPEST:
            raise refusals.damaged(self._source.name, "its parts are nested too deep")
        for child in element:
            self._take(child, depth)

    def _take(self, child: Element, depth: int) -> None:
        composer = self._composer
        if child.tag == f"{TEXT}h":
            composer.add_heading(_number(child, f"{TEXT}outline-level", 1, 6), _text(child))
        elif child.tag == f"{TEXT}p":
            composer.add(_text(child))
        elif child.tag == f"{TEXT}list-item":
            composer.add("- " + _text(child).replace("\n", "\n  "))
        elif child.tag == f"{TABLE}table":
            self._add_table(child)
        elif child.tag == f"{DRAW}page":
            self._begin_page(child.get(f"{DRAW}name") or "")
            self.walk(child, depth + 1)
        elif child.tag in (f"{TEXT}tracked-changes", f"{OFFICE}annotation"):
            return
        else:
            self.walk(child, depth + 1)

    def _begin_page(self, label: str) -> None:
        self._page += 1
        if self._page > limits.MAX_PAGES:
            raise refusals.too_large(
                self._source.name, f"more than {limits.MAX_PAGES:,} sheets or slides"
            )
        self._composer.begin_page(self._page, label)

    def _add_table(self, table: Element) -> None:
        if self._kind == "ods":
            label = table.get(f"{TABLE}name") or ""
            self._begin_page(label)
            self._composer.add_heading(2, label)
        self._composer.add_table(self._rows(table))

    def _rows(self, table: Element) -> Iterator[list[str]]:
        for row in table.iter(f"{TABLE}table-row"):
            cells = self._row(row)
            if not any(cells):
                continue
            for _ in range(_number(row, f"{TABLE}number-rows-repeated", 1, MAX_REPEAT)):
                self._cells.take(len(cells))
                yield cells

    def _row(self, row: Element) -> list[str]:
        cells: list[str] = []
        for cell in row:
            if cell.tag not in (f"{TABLE}table-cell", f"{TABLE}covered-table-cell"):
                continue
            repeat = _number(cell, f"{TABLE}number-columns-repeated", 1, MAX_COLUMNS)
            cells.extend([_text(cell)] * min(repeat, MAX_COLUMNS - len(cells)))
            if len(cells) >= MAX_COLUMNS:
                break
        while cells and not cells[-1]:
            cells.pop()
        return cells


def _number(element: Element, name: str, default: int, most: int) -> int:
    text = element.get(name) or ""
    return min(most, max(1, int(text))) if text.isascii() and text.isdigit() else default


def _text(element: Element) -> str:
    """Return an element's text: paragraphs on lines of their own, spaces and tabs written out."""
    parts: list[str] = []
    for event, node in _events(element):
        if event == "begin":
            if node.tag == f"{TEXT}s":
                parts.append(" " * _number(node, f"{TEXT}c", 1, 100))
            elif node.tag == f"{TEXT}tab":
                parts.append("\t")
            elif node.tag == f"{TEXT}line-break":
                parts.append("\n")
            parts.append(node.text or "")
        else:
            if node.tag == f"{TEXT}p" and node is not element:
                parts.append("\n")
            if node is not element:
                parts.append(node.tail or "")
    return "".join(parts).strip()


def _events(root: Element) -> Iterator[tuple[str, Element]]:
    """Yield begin and end of an element and all below it, without recursion."""
    stack: list[tuple[str, Element]] = [("begin", root)]
    while stack:
        event, node = stack.pop()
        yield event, node
        if event == "begin":
            stack.append(("end", node))
            if node.tag != f"{OFFICE}annotation":
                stack.extend(("begin", child) for child in reversed(node))
