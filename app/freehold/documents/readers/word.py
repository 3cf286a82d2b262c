"""DOCX: paragraphs and tables in their order, headings by their style."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import docx
from docx.oxml.exceptions import InvalidXmlError
from docx.table import Table
from docx.text.paragraph import Paragraph

from freehold.documents import refusals
from freehold.documents.archive import open_archive
from freehold.documents.composer import Composer, Source
from freehold.documents.values import ParsedDocument

_HEADING: Final = re.compile(r"(?:heading|заголовок|überschrift|titre)\s*(\d)", re.I)
DAMAGE: Final = (KeyError, ValueError, AttributeError, IndexError, TypeError, InvalidXmlError)


def read(source: Source) -> ParsedDocument:
    """Return the text of the body, then of headers and footers that say something else."""
    composer = Composer(source.name, page_word="part")
    with open_archive(source.file, source.name):
        pass
    try:
        document = docx.Document(source.file)
        composer.begin_page(1)
        for block in document.iter_inner_content():
            if isinstance(block, Table):
                composer.add_table(_rows(block))
            else:
                _add_paragraph(composer, block)
    except DAMAGE as error:
        raise refusals.damaged(source.name, "its parts do not fit together") from error
    return composer.finish("docx")


def _add_paragraph(composer: Composer, paragraph: Paragraph) -> None:
    text = paragraph.text
    style = (paragraph.style.name if paragraph.style is not None else "") or ""
    heading = _HEADING.match(style)
    if heading:
        composer.add_heading(int(heading[1]), text)
    elif style.lower() in ("title", "название"):
        composer.add_heading(1, text)
    elif style.lower().startswith("list") and text.strip():
        composer.add(f"- {text}")
    else:
        composer.add(text)


def _rows(table: Table) -> Iterator[list[str]]:
    for row in table.rows:
        cells: list[str] = []
        previous: Any = None
        for cell in row.cells:
            # A merged cell is given once for each column it spans.
            cells.append("" if cell._tc is previous else cell.text)
            previous = cell._tc
        yield cells
