"""Documents, collections and a chat about them, for the pictures of the window."""

from __future__ import annotations

import io
from typing import Final

from doubles.client import FakeClient
from doubles.document_files import make_pdf
from doubles.scenes import QWEN
from freehold.documents.composer import Source
from freehold.documents.readers.pdf import read
from freehold.documents.readers.pictures import draw_page
from freehold.documents.values import PictureTask
from freehold.wire import ErrorInfo, Message, ReplyStats
from freehold.wire_documents import Collection, DocumentInfo
from freehold.wire_grounds import AttachedDocument, DocumentCitation, Grounds

LEASE: Final = "Lease of the boathouse.pdf"
RENT: Final = "The yearly rent is 4,250 euros, due on the third of March."
RISE: Final = "It rises with the index of consumer prices, by at most three per cent a year."
ENDING: Final = "Either side can end the lease with ninety days of notice in writing."
LINES: Final = (
    "Lease of the boathouse",
    "Between the harbour trust, in what follows the owner, and the rowing club, the tenant.",
    "",
    "1  The house",
    "The owner lets the boathouse at the old quay, with its slip, its two jetties and the",
    "store behind it. The tenant has seen the house and takes it as it is.",
    "",
    "2  Rent",
    RENT,
    RISE,
    "",
    "3  Upkeep",
    "The tenant keeps doors, windows and jetties in repair and tells the owner of damage",
    "within seven days. Roof and slip are the owner's to keep.",
    "",
    "4  Ending",
    ENDING,
    "A notice by mail counts from the day it arrives. What the tenant built stays, unless",
    "both agree on something else before the last day.",
)
DRAWN_PIXELS: Final = 458
ANSWER: Final = (
    "The rent is **4,250 euros** a year, due on the third of March [1]. It follows consumer prices,"
    " but by no more than three per cent a year [2].\n\nEither side can end it with ninety days of"
    " notice in writing [3]."
)


def furnish_documents(server: FakeClient) -> str:
    """Give a server documents, collections and a chat about a lease; return the chat's id."""
    content = make_pdf([LINES])
    text = read(_source(content)).text
    quotes = [(text.index(quote), quote) for quote in (RENT, RISE, ENDING)]
    documents = server.documents
    for info in _documents(len(text)):
        documents.known[info.id] = info
        documents.texts[info.id] = text
    first, quote = quotes[0]
    task = PictureTask(1, DRAWN_PIXELS, first, first + len(quote))
    documents.images[("lease", 1)] = draw_page(_source(content), task)
    for collection in COLLECTIONS:
        documents.made[collection.id] = collection
    citations = tuple(
        DocumentCitation(
            number=number,
            document_id="lease",
            file=LEASE,
            page=1,
            page_word="page",
            quote=words,
            start=start,
            end=start + len(words),
        )
        for number, (start, words) in enumerate(quotes, start=1)
    )
    return _chat(server, citations)


def _source(content: bytes) -> Source:
    return Source(io.BytesIO(content), LEASE, len(content), lambda _done, _total: None)


def _documents(characters: int) -> tuple[DocumentInfo, ...]:
    def ready(key: str, name: str, kind: str, pages: int, tokens: int, size: int) -> DocumentInfo:
        return DocumentInfo(
            id=key,
            name=name,
            phase="ready",
            kind=kind,
            page_word="sheet" if kind == "xlsx" else "page",
            page_count=pages,
            tokens=tokens,
            bytes=size,
            characters=characters,
            passages=max(1, tokens // 500),
            embedded=max(1, tokens // 500),
            has_pages=kind == "pdf",
        )

    problem = ErrorInfo(
        code="invalid_document",
        message="“invoice 0471.pdf” cannot be read: it is not a whole PDF.",
        hint="Open it in the program that made it and save it again.",
    )
    return (
        ready("lease", LEASE, "pdf", 1, 1_240, 84_000),
        ready("minutes", "Minutes of May.docx", "docx", 6, 4_100, 212_000),
        ready("prices", "Prices 2025.xlsx", "xlsx", 3, 18_400, 96_000),
        DocumentInfo(
            id="manual",
            name="Pump manual.pdf",
            phase="reading",
            kind="pdf",
            bytes=18_200_000,
            done=184,
            total=312,
        ),
        DocumentInfo(id="invoice", name="invoice 0471.pdf", phase="failed", error=problem),
    )


COLLECTIONS: Final = (
    Collection(
        id="contracts",
        name="Contracts",
        sources=("/home/ada/Contracts",),
        phase="embedding",
        done=1_630,
        total=2_400,
        files=64,
        pages=1_312,
    ),
    Collection(
        id="board",
        name="Board minutes",
        sources=("/home/ada/Board",),
        phase="ready",
        files=120,
        done=120,
        total=120,
        pages=940,
        tokens=410_000,
    ),
)


def _chat(server: FakeClient, citations: tuple[DocumentCitation, ...]) -> str:
    now = server.conversations.summaries(trashed=False)[0].updated_at + 60
    chat = server.conversations.create(title="The boathouse", model_ref=QWEN.ref, now=now)
    server.documents.chats[chat.id] = (("lease",), (), "")
    asked = chat.add(
        Message(
            id="lease-question",
            chat_id=chat.id,
            parent_id=None,
            role="user",
            content="What is the rent, can it rise, and how is the lease ended?",
            created_at=now,
            attached=(AttachedDocument(id="lease", name=LEASE, kind="pdf"),),
        )
    )
    chat.add(
        Message(
            id="lease-answer",
            chat_id=chat.id,
            parent_id=asked.id,
            role="assistant",
            content=ANSWER,
            model_ref=QWEN.ref,
            created_at=now + 4,
            grounds=Grounds(
                mode="whole",
                says="Whole document (1,240 tokens).",
                citations=citations,
                files=1,
                document_tokens=1_240,
            ),
            stats=ReplyStats(
                prompt_tokens=1_402,
                cached_tokens=1_310,
                completion_tokens=71,
                decode_tokens_per_s=146.0,
                first_token_s=0.09,
                duration_s=0.6,
                finish_reason="stop",
            ),
        )
    )
    return chat.id
