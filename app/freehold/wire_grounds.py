"""What an answer from documents rests on, as a message of the API carries it."""

from __future__ import annotations

from typing import Literal

import msgspec


class AttachedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document that came with a question, by its name then; kind "collection": a set of them."""

    id: str
    name: str
    kind: str = ""


class DocumentCitation(msgspec.Struct, frozen=True, kw_only=True):
    """What proves a part of the answer: `number` stands in its text, `quote` in the file.

    start, end: characters of the document's text.
    """

    number: int
    document_id: str
    file: str
    page: int
    page_word: str
    quote: str
    start: int
    end: int


class Grounds(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer from documents rests on, and the proof of its claims.

    mode: "whole"; the "first" pages alone, as the person chose; "searched"; or "all": every
        passage was read in turn, for a question that counts or sums up.
    says: the same as a sentence to show under the answer.
    dropped: citations that did not hold. passages, files: what the model was given to read.
    """

    mode: Literal["whole", "first", "searched", "all"]
    says: str = ""
    citations: tuple[DocumentCitation, ...] = ()
    dropped: int = 0
    is_absent: bool = False
    document_tokens: int = 0
    free_tokens: int = 0
    passages: int = 0
    files: int = 0
    notes: tuple[str, ...] = ()
