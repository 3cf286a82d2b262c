"""Values of the documents' part of Freehold's API."""

from __future__ import annotations

from typing import Literal

from freehold.wire import ErrorInfo, Value
from freehold.wire_grounds import DocumentCitation, Grounds

__all__ = [
    "ChatDocuments",
    "Choice",
    "Collection",
    "CollectionFile",
    "DocumentAbilities",
    "DocumentAnswer",
    "DocumentCitation",
    "DocumentFit",
    "DocumentInfo",
    "DocumentQuestion",
    "DocumentText",
    "DocumentUse",
    "Grounds",
    "TextPage",
]

Choice = Literal["", "search", "first"]


class DocumentInfo(Value, frozen=True, kw_only=True):
    """A file that was given, from reading to ready.

    done, total: pages read and pages there are, while it is read. tokens: an estimate.
    notes: sentences about what was left out or guessed.
    passages, embedded: how many there are, and how many the search by meaning knows.
    has_pages: `page_image` can show its pages. collection_id: the collection it belongs to.
    scan_pages: pages without text; recognising the text of so many is what `recognise` does.
    """

    id: str
    name: str
    phase: Literal["reading", "ready", "failed"]
    done: int = 0
    total: int = 0
    kind: str = ""
    page_word: str = "page"
    page_count: int = 0
    tokens: int = 0
    notes: tuple[str, ...] = ()
    error: ErrorInfo | None = None
    bytes: int = 0
    characters: int = 0
    passages: int = 0
    embedded: int = 0
    has_pages: bool = False
    scan_pages: int = 0
    collection_id: str = ""
    added_at: float = 0.0


class TextPage(Value, frozen=True, kw_only=True):
    """Characters `start` up to `end` of a document's text are page `number`."""

    number: int
    start: int
    end: int
    label: str = ""


class DocumentText(Value, frozen=True, kw_only=True):
    """Characters `start` up to `end` of a document's text, in Markdown, and all its pages."""

    document_id: str
    start: int
    end: int
    text: str
    characters: int
    page_word: str
    pages: tuple[TextPage, ...]


class DocumentAbilities(Value, frozen=True, kw_only=True):
    """What can be done with documents on this machine, and the limits, stated once.

    ocr: tesseract's languages, none when it is not installed; `ocr_hint` says how to get it.
    vision: why pictures are not understood, or "" when the loaded model sees.
    embedder, reranker: refs in use ("" for none); embedders, rerankers: what is installed.
    """

    ocr: tuple[str, ...] = ()
    ocr_hint: str = ""
    vision: str = ""
    embedder: str = ""
    embedders: tuple[str, ...] = ()
    reranker: str = ""
    rerankers: tuple[str, ...] = ()
    max_files: int = 0
    max_file_bytes: int = 0
    max_pages: int = 0
    max_collection_files: int = 0


class DocumentAnswer(Value, frozen=True, kw_only=True):
    """An answer from documents, how they were used, and its proof.

    is_absent: the documents do not hold the answer. dropped: citations that did not hold.
    passages, files: what the model was given to read. cached_tokens: of the prompt, not computed
    again. says: how the documents were used, as a sentence.
    """

    answer: str
    mode: Literal["whole", "first", "searched", "all"]
    model: str
    is_absent: bool
    citations: tuple[DocumentCitation, ...] = ()
    dropped: int = 0
    document_tokens: int = 0
    free_tokens: int = 0
    passages: int = 0
    files: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    first_token_s: float = 0.0
    is_cut_short: bool = False
    notes: tuple[str, ...] = ()
    says: str = ""


class DocumentQuestion(Value, frozen=True, kw_only=True):
    """A question that is being answered; `done` of `total` is the phase's progress."""

    id: str
    phase: Literal["waiting", "embedding", "reading", "prefill", "answering", "ready", "failed"]
    done: int = 0
    total: int = 0
    answer: DocumentAnswer | None = None
    error: ErrorInfo | None = None


# --- collections -----------------------------------------------------------------------------


class Collection(Value, frozen=True, kw_only=True):
    """A named set of files and watched folders, indexed in the background.

    sources: full paths of files and folders on the server's machine; folders are watched.
    phase: "waiting" for its turn, "reading" files, "embedding" passages, "ready", "paused" by
        the person, or "error" (a source that is not there, a disk that is full).
    done, total: files while it reads, passages while it embeds.
    failed: files that could not be read; each says why in `collection_files`.
    embedder: whose vectors it has. stale: why it should be rebuilt, "" while it need not be.
    """

    id: str
    name: str
    sources: tuple[str, ...] = ()
    phase: Literal["waiting", "reading", "embedding", "ready", "paused", "error"] = "waiting"
    done: int = 0
    total: int = 0
    files: int = 0
    failed: int = 0
    pages: int = 0
    tokens: int = 0
    passages: int = 0
    embedded: int = 0
    embedder: str = ""
    stale: str = ""
    notes: tuple[str, ...] = ()
    error: ErrorInfo | None = None
    added_at: float = 0.0


class CollectionFile(Value, frozen=True, kw_only=True):
    """A file of a collection: where it lies and what became of it."""

    path: str
    name: str
    phase: Literal["waiting", "ready", "failed"]
    document_id: str = ""
    bytes: int = 0
    error: ErrorInfo | None = None


# --- documents of a chat ---------------------------------------------------------------------


class ChatDocuments(Value, frozen=True, kw_only=True):
    """What a chat is asked about, and what to do when it does not fit the context.

    choice: "search" it, use the "first" pages that fit, or "" while nobody has chosen.
    """

    chat_id: str
    documents: tuple[DocumentInfo, ...] = ()
    collections: tuple[Collection, ...] = ()
    choice: Choice = ""


class DocumentUse(Value, frozen=True, kw_only=True):
    """A chat that is asked about a document or a collection, by its id."""

    id: str
    chat_id: str
    title: str


class DocumentFit(Value, frozen=True, kw_only=True):
    """Whether a chat's documents fit its model's context, with the numbers.

    is_whole: they go in whole. limit_tokens: the most that does, 80 % of the free context.
    first_pages, pages: how many whole pages fit if only the first are used (0: not even one, then
        the beginning of the text is used), and how many there are.
    basis: "measured" with the loaded model's tokenizer, or "estimated".
    model: whose context it is, "" when no model is chosen.
    """

    is_whole: bool
    document_tokens: int
    limit_tokens: int
    context_tokens: int
    first_pages: int
    pages: int
    basis: Literal["measured", "estimated"]
    model: str = ""
