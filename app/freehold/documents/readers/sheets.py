"""XLSX and CSV: one page a sheet, values as shown, as Markdown tables."""

from __future__ import annotations

import csv
import datetime
import io
import zipfile
from collections.abc import Iterator
from typing import Any, Final

import openpyxl
from lxml import etree

from freehold.documents import limits, refusals
from freehold.documents.archive import open_archive
from freehold.documents.composer import Composer, Source, to_cell
from freehold.documents.readers.plain import read_text
from freehold.documents.values import ParsedDocument

MAX_COLUMNS: Final = 512
DAMAGE: Final = (
    KeyError,
    ValueError,
    AttributeError,
    IndexError,
    TypeError,
    SyntaxError,
    etree.LxmlError,
    zipfile.BadZipFile,
)


class CellLimit:
    """Counts the cells of a file and refuses one with too many."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._left = limits.MAX_CELLS

    def take(self, count: int) -> None:
        """Count some cells.

        Raises: AppError `payload_too_large`.
        """
        self._left -= count
        if self._left < 0:
            raise refusals.too_large(self._name, f"it has more than {limits.MAX_CELLS:,} cells")


def read_xlsx(source: Source) -> ParsedDocument:
    """Return every sheet as a table; formulas by the value they had when saved."""
    composer = Composer(source.name, page_word="sheet")
    with open_archive(source.file, source.name):
        pass
    cells = CellLimit(source.name)
    try:
        book = openpyxl.load_workbook(source.file, read_only=True, data_only=True, keep_links=False)
        sheets = book.worksheets
        for number, sheet in enumerate(sheets, start=1):
            sheet.reset_dimensions()  # what the file says of its size may be wrong
            composer.begin_page(number, sheet.title)
            composer.add_heading(2, sheet.title)
            composer.add(_table(sheet.iter_rows(values_only=True), cells))
            source.report(number, len(sheets))
    except DAMAGE as error:
        raise refusals.damaged(source.name, "its parts do not fit together") from error
    return composer.finish("xlsx")


def read_csv(source: Source) -> ParsedDocument:
    """Return the table; what separates its columns is found by its content."""
    composer = Composer(source.name, page_word="sheet")
    text = read_text(source, composer)
    try:
        dialect: Any = csv.Sniffer().sniff(text[:16384], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel_tab if source.name.lower().endswith(".tsv") else csv.excel
    csv.field_size_limit(limits.MAX_CHARACTERS)
    composer.begin_page(1)
    cells = CellLimit(source.name)
    try:
        composer.add(_table(csv.reader(io.StringIO(text, newline=""), dialect), cells))
    except csv.Error as error:
        raise refusals.damaged(source.name, f"its rows cannot be told apart ({error})") from error
    return composer.finish("csv")


def _table(rows: Iterator[Any], cells: CellLimit) -> str:
    """Return rows as Markdown lines, each as wide as the widest so far."""
    lines: list[str] = []
    width = 0
    for row in rows:
        values = [_shown(value) for value in row[:MAX_COLUMNS]]
        while values and not values[-1]:
            values.pop()
        if not values:
            cells.take(1)
            continue
        cells.take(len(values))
        width = max(width, len(values))
        values += [""] * (width - len(values))
        lines.append("| " + " | ".join(values) + " |")
        if len(lines) == 1:
            lines.append("|" + " --- |" * width)
    return "\n".join(lines)


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case float():
            return f"{value:.12g}"
        case datetime.datetime():
            if value.time() == datetime.time(0):
                return value.date().isoformat()
            return value.isoformat(" ", "minutes")
        case _:
            return to_cell(str(value))
