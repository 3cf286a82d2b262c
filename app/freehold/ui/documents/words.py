"""What is said of documents, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from freehold.ui.state.gathering import isolated
from freehold.units import format_bytes, format_count
from freehold.wire_documents import Collection, DocumentFit, DocumentInfo, DocumentUse

ICONS: Final = {
    "pdf": "doc-pdf",
    "docx": "doc-text",
    "odt": "doc-text",
    "markdown": "doc-text",
    "text": "doc-text",
    "epub": "doc-text",
    "xlsx": "doc-table",
    "csv": "doc-table",
    "ods": "doc-table",
    "pptx": "doc-slides",
    "odp": "doc-slides",
    "html": "doc-web",
    "eml": "doc-mail",
    "code": "doc-code",
    "image": "doc-image",
    "collection": "folder",
}
ENDINGS: Final = {
    "md": "markdown", "txt": "text", "log": "text", "htm": "html", "tsv": "csv", "xls": "xlsx",
    "png": "image", "jpg": "image", "jpeg": "image", "webp": "image", "gif": "image",
    "bmp": "image", "tif": "image", "tiff": "image",
    "py": "code", "js": "code", "ts": "code", "c": "code", "cpp": "code", "h": "code",
    "rs": "code", "go": "code", "java": "code", "sh": "code", "sql": "code", "json": "code",
    "yaml": "code", "yml": "code", "toml": "code", "xml": "code",
}  # fmt: skip
KINDS: Final = {
    "pdf": "PDF",
    "docx": "Word",
    "pptx": "PowerPoint",
    "xlsx": "Excel",
    "csv": "CSV",
    "odt": "OpenDocument text",
    "ods": "OpenDocument table",
    "odp": "OpenDocument slides",
    "html": "HTML",
    "epub": "EPUB",
    "eml": "Mail",
    "markdown": "Markdown",
    "text": "Text",
    "code": "Source code",
    "image": "Picture",
}
PHASES: Final = {
    "waiting": "Waiting",
    "reading": "Reading",
    "embedding": "Indexing",
    "ready": "Ready",
    "paused": "Paused",
    "error": "Error",
    "failed": "Not read",
}


def icon_of(kind: str, name: str = "") -> str:
    """Return the icon of a kind of file, or of its name while the kind is not known."""
    ending = name.rpartition(".")[2].lower()
    return ICONS.get(kind or ENDINGS.get(ending, ending), "file")


def counted(count: int, word: str) -> str:
    """Return a count with its word: `1 page`, `2,300 pages`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def state_words(info: DocumentInfo) -> str:
    """Return what is going on with a document: `Reading page 3 of 12`, `12 pages · 9 k tokens`."""
    if info.error is not None:
        return info.error.message
    if info.phase == "reading":
        if info.total:
            return f"Reading {info.page_word} {info.done:,} of {info.total:,}"
        return "Reading…"
    parts = []
    if info.page_count:
        parts.append(counted(info.page_count, info.page_word))
    parts.append(f"{format_count(info.tokens)} tokens")
    return " · ".join(parts)


def facts_of(info: DocumentInfo) -> str:
    """Return size, pages and tokens of a document that was read."""
    parts = [KINDS.get(info.kind, info.kind)] if info.kind else []
    if info.bytes:
        parts.append(format_bytes(info.bytes))
    if info.phase == "ready":
        parts.append(state_words(info))
    return " · ".join(parts)


def index_words(info: DocumentInfo) -> str:
    """Return how far a document is indexed by meaning, nothing when there is nothing to say."""
    if info.phase != "ready" or not info.passages:
        return ""
    if info.embedded >= info.passages:
        return f"{counted(info.passages, 'passage')} indexed by words and meaning"
    if not info.embedded:
        return f"{counted(info.passages, 'passage')} indexed by words"
    share = f"{info.embedded / info.passages:.0%}"
    return f"{counted(info.passages, 'passage')} indexed by words, {share} by meaning"


def scan_words(info: DocumentInfo, hint: str = "") -> str:
    """Return what is said of a scan, with what would help."""
    if not info.scan_pages:
        return ""
    words = f"A scan: {counted(info.scan_pages, 'page')} without text"
    if info.kind == "image":
        words = "A picture without recognised text"
    return f"{words}. {hint}" if hint else words


def collection_words(collection: Collection) -> str:
    """Return what is going on with a collection, with a figure while it is indexed."""
    phase = PHASES[collection.phase]
    if collection.phase in ("reading", "embedding") and collection.total:
        share = min(1.0, collection.done / collection.total)
        unit = "files" if collection.phase == "reading" else "passages"
        return f"{phase} {collection.done:,} of {collection.total:,} {unit} ({share:.0%})"
    if collection.phase == "error" and collection.error is not None:
        return collection.error.message
    parts = [] if collection.phase == "ready" else [phase]
    parts.append(counted(collection.files, "file"))
    if collection.pages:
        parts.append(counted(collection.pages, "page"))
    if collection.tokens:
        parts.append(f"{format_count(collection.tokens)} tokens")
    if collection.failed:
        parts.append(f"{counted(collection.failed, 'file')} could not be read")
    return " · ".join(parts)


def fit_words(fit: DocumentFit, count: int) -> str:
    """Return why documents do not fit, with the numbers and where they come from."""
    takes, fits = ("It takes", "it does") if count == 1 else ("They take", "they do")
    return (
        f"{takes} {format_count(fit.document_tokens)} tokens ({fit.basis}). The model reads"
        f" {format_count(fit.context_tokens)} at a time, of which"
        f" {format_count(fit.limit_tokens)} are free for documents, so {fits} not fit whole."
    )


def scan_offer(scans: Sequence[DocumentInfo]) -> tuple[str, str]:
    """Return what is said of scans whose text can be recognised: the fact, and what it takes."""
    pages = sum(scan.scan_pages for scan in scans)
    name = f"“{isolated(scans[0].name)}” is" if len(scans) == 1 else f"{len(scans):,} files are"
    kind = "a scan or a picture" if len(scans) == 1 else "scans or pictures"
    return (
        f"{name} {kind}: {counted(pages, 'page')} without text.",
        f"Recognising it reads {counted(pages, 'page')} on this machine, in the background.",
    )


def use_words(uses: Sequence[DocumentUse]) -> str:
    """Return in which chats something is used."""
    if not uses:
        return ""
    titles = [f"“{isolated_title(use.title)}”" for use in uses[:2]]
    more = len(uses) - len(titles)
    chats = ", ".join(titles) + (f" and {more:,} more" if more else "")
    return f"Used in {counted(len(uses), 'chat')}: {chats}"


def isolated_title(title: str) -> str:
    """Return a chat's title, shortened, that leaves the words around it alone."""
    shown = title if len(title) <= 40 else f"{title[:39]}…"
    return f"\u2068{shown or 'New chat'}\u2069"


def sized(words: str, count: int) -> str:
    """Return words behind a size, where it is known."""
    return f"{format_bytes(count)} · {words}" if count else words
