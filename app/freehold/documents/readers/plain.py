"""Plain text, Markdown and source code."""

from __future__ import annotations

from freehold.documents import limits, refusals
from freehold.documents.composer import Composer, Source
from freehold.documents.decoding import decode
from freehold.documents.names import ending
from freehold.documents.values import ParsedDocument
from freehold.units import format_bytes


def read_plain(source: Source) -> ParsedDocument:
    """Return the text as it is."""
    composer = Composer(source.name)
    composer.begin_page(1)
    composer.add(read_text(source, composer))
    return composer.finish("text")


def read_markdown(source: Source) -> ParsedDocument:
    """Return the text as it is; it is Markdown already."""
    composer = Composer(source.name)
    composer.begin_page(1)
    composer.add(read_text(source, composer))
    return composer.finish("markdown")


def read_code(source: Source) -> ParsedDocument:
    """Return the text inside a fence that its own lines cannot end."""
    composer = Composer(source.name)
    composer.begin_page(1)
    text = read_text(source, composer).strip("\n")
    fence = "```"
    while fence in text:
        fence += "`"
    if text.strip():
        composer.add(f"{fence}{ending(source.name)}\n{text}\n{fence}")
    return composer.finish("code")


def read_text(source: Source, composer: Composer) -> str:
    """Return the whole file decoded, line ends as \\n; a guessed encoding becomes a note.

    Raises: AppError `payload_too_large`.
    """
    if source.bytes > limits.MAX_TEXT_BYTES:
        raise refusals.too_large(
            source.name,
            f"{format_bytes(source.bytes)} of text;"
            f" the limit is {format_bytes(limits.MAX_TEXT_BYTES)}",
        )
    source.file.seek(0)
    text, guessed = decode(source.file.read())
    if guessed is not None:
        composer.notes.append(f"The text's encoding is not stated; it was read as {guessed}.")
    return text.replace("\r\n", "\n").replace("\r", "\n")
