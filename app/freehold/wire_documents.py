"""Values of the documents' part of Freehold's API."""

from __future__ import annotations

from typing import Literal

from freehold.wire import ErrorInfo, Value


class DocumentInfo(Value, frozen=True, kw_only=True):
    """A file that was given, from reading to ready.

    done, total: pages read and pages there are, while it is read. tokens: an estimate.
    notes: sentences about what was left out or guessed.
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


class DocumentCitation(Value, frozen=True, kw_only=True):
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


class DocumentAnswer(Value, frozen=True, kw_only=True):
    """An answer from documents, how they were used, and its proof.

    is_absent: the documents do not hold the answer. dropped: citations that did not hold.
    passages, files: what the model was given to read. cached_tokens: of the prompt, not computed
    again.
    """

    answer: str
    mode: Literal["whole", "searched"]
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


class DocumentQuestion(Value, frozen=True, kw_only=True):
    """A question that is being answered; `done` of `total` is the phase's progress."""

    id: str
    phase: Literal["waiting", "embedding", "prefill", "answering", "ready", "failed"]
    done: int = 0
    total: int = 0
    answer: DocumentAnswer | None = None
    error: ErrorInfo | None = None
