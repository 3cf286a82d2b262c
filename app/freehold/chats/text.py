"""Text of chats: what is accepted, what a chat is called, what the search index holds."""

from __future__ import annotations

import re
from typing import Final

from freehold.errors import AppError

MAX_TEXT_CHARACTERS: Final = 4_000_000
MAX_TITLE_CHARACTERS: Final = 200
TITLE_CHARACTERS: Final = 60
SNIPPET_BEFORE: Final = 40
SNIPPET_CHARACTERS: Final = 160

# Scripts written without spaces: each character is indexed as a word of its own.
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff])"
)
_SURROGATES = re.compile("[\ud800-\udfff]")


def check_text(text: str, *, name: str = "text", limit: int = MAX_TEXT_CHARACTERS) -> str:
    """Return `text` if it can be stored and sent to a model.

    Raises: AppError `invalid_request` (half a surrogate pair) or `payload_too_large`.
    """
    if len(text) > limit:
        raise AppError(
            "payload_too_large",
            f"The {name} has {len(text):,} characters; at most {limit:,} are taken.",
            "Shorten it, or add it as a document.",
            detail={"param": name, "characters": len(text), "limit": limit},
        )
    if _SURROGATES.search(text):
        raise AppError(
            "invalid_request",
            f"The {name} is not valid Unicode text: it holds half of a surrogate pair.",
            "Remove the broken character, or send the text as UTF-8.",
            detail={"param": name},
        )
    return text


def scrub(text: str) -> str:
    """Return model output with what no file can hold replaced."""
    return _SURROGATES.sub("\ufffd", text)


def title_of(text: str) -> str:
    """Return what a chat is called after its first question: the first line, shortened."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = " ".join(line.replace("\0", " ").lstrip("#>*-` ").split())
    if len(line) <= TITLE_CHARACTERS:
        return line
    cut = line[: TITLE_CHARACTERS - 1]
    head, _, tail = cut.rpartition(" ")
    if head and len(tail) < TITLE_CHARACTERS // 3:
        cut = head
    return cut.rstrip(" ,.;:") + "…"


def index_text(text: str) -> str:
    """Return the words the search index holds of a message."""
    return _UNSPACED.sub(r" \1 ", text.replace("\0", " "))


def query_terms(query: str) -> list[str]:
    """Return the terms of a query: words, or text in double quotes."""
    terms = re.findall(r'"([^"]*)"|(\S+)', query.replace("\0", " "))
    found = [(quoted or word).replace('"', " ").strip() for quoted, word in terms]
    return [term for term in found if any(character.isalnum() for character in term)][:32]


def match_expression(query: str) -> str:
    """Return the FTS5 expression of a query: all terms, the last one also as a beginning."""
    terms = [f'"{index_text(term).strip()}"' for term in query_terms(query)]
    if terms and not query.rstrip().endswith('"'):
        terms[-1] += " *"
    return " AND ".join(terms)


def snippet(content: str, query: str) -> str:
    """Return the part of a message around the first term found, on one line."""
    folded = content.casefold()
    places = [folded.find(term.casefold()) for term in query_terms(query)]
    # Casefolding may change lengths; then the place is near enough.
    first = min((place for place in places if place >= 0), default=0)
    start = max(0, min(first, len(content)) - SNIPPET_BEFORE)
    if start:
        space = content.find(" ", start, start + SNIPPET_BEFORE)
        start = space + 1 if space >= 0 else start
    piece = " ".join(content[start : start + SNIPPET_CHARACTERS].replace("\0", " ").split())
    before = "…" if start else ""
    after = "…" if start + SNIPPET_CHARACTERS < len(content) else ""
    return f"{before}{piece}{after}"
