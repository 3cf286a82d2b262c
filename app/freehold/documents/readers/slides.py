"""PPTX: one page a slide, its title as a heading, tables and notes kept."""

from __future__ import annotations

from typing import Any, Final

import pptx
from pptx.exc import PythonPptxError

from freehold.documents import limits, refusals
from freehold.documents.archive import open_archive
from freehold.documents.composer import Composer, Source
from freehold.documents.values import ParsedDocument

DEEPEST_GROUP: Final = 20
DAMAGE: Final = (KeyError, ValueError, AttributeError, IndexError, TypeError, PythonPptxError)


def read(source: Source) -> ParsedDocument:
    """Return the text of every slide."""
    composer = Composer(source.name, page_word="slide")
    with open_archive(source.file, source.name):
        pass
    try:
        slides = list(pptx.Presentation(source.file).slides)
        if len(slides) > limits.MAX_PAGES:
            composer.notes.append(
                f"Only the first {limits.MAX_PAGES:,} of {len(slides):,} slides are read."
            )
        for number, slide in enumerate(slides[: limits.MAX_PAGES], start=1):
            composer.begin_page(number)
            _add_slide(composer, slide)
            source.report(number, len(slides))
    except DAMAGE as error:
        raise refusals.damaged(source.name, "its parts do not fit together") from error
    return composer.finish("pptx", page_count=len(slides))


def _add_slide(composer: Composer, slide: Any) -> None:
    title = slide.shapes.title
    if title is not None:
        composer.add_heading(2, title.text_frame.text)
    for shape in slide.shapes:
        if title is None or shape.shape_id != title.shape_id:
            _add_shape(composer, shape, 0)
    if slide.has_notes_slide:
        notes = slide.notes_slide.notes_text_frame
        if notes is not None and notes.text.strip():
            composer.add("Notes: " + notes.text)


def _add_shape(composer: Composer, shape: Any, depth: int) -> None:
    if getattr(shape, "shapes", None) is not None and depth < DEEPEST_GROUP:
        for inner in shape.shapes:
            _add_shape(composer, inner, depth + 1)
    elif getattr(shape, "has_table", False) and shape.has_table:
        composer.add_table([cell.text for cell in row.cells] for row in shape.table.rows)
    elif shape.has_text_frame:
        composer.add(shape.text_frame.text)
