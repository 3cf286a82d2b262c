"""What kind of document a file is: its content decides, its ending only between kinds of text."""

from __future__ import annotations

import re
import zipfile
from typing import BinaryIO, Final

from freehold.documents import refusals
from freehold.documents.names import ending
from freehold.documents.values import Kind

HEAD_BYTES: Final = 8192

_UNREAD: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"\x1f\x8b", "a packed archive", "Unpack it and add the files."),
    (b"7z\xbc\xaf\x27\x1c", "a packed archive", "Unpack it and add the files."),
    (b"Rar!", "a packed archive", "Unpack it and add the files."),
    (b"\x7fELF", "a program", "Add a document."),
    (b"MZ", "a program", "Add a document."),
    (b"GGUF", "a model file", "Add it under Library instead."),
    (b"{\\rtf", "a Rich Text file", "Save it as DOCX or ODT and add that."),
    (b"SQLite format 3", "a database", "Export its tables as CSV and add those."),
)
_PICTURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_OPEN_DOCUMENT: Final[dict[bytes, Kind]] = {
    b"application/vnd.oasis.opendocument.text": "odt",
    b"application/vnd.oasis.opendocument.spreadsheet": "ods",
    b"application/vnd.oasis.opendocument.presentation": "odp",
    b"application/epub+zip": "epub",
}
_BY_MEMBER: Final[tuple[tuple[str, Kind], ...]] = (
    ("word/document.xml", "docx"),
    ("ppt/presentation.xml", "pptx"),
    ("xl/workbook.xml", "xlsx"),
    ("META-INF/container.xml", "epub"),
)
_TEXT_ENDINGS: Final[dict[str, Kind]] = {
    "md": "markdown",
    "markdown": "markdown",
    "csv": "csv",
    "tsv": "csv",
    "html": "html",
    "htm": "html",
    "xhtml": "html",
    "eml": "eml",
}
# Of documents, as folders are searched for them; pictures have no text to be found by.
DOCUMENT_ENDINGS: Final = frozenset(
    [*_TEXT_ENDINGS, "pdf", "docx", "pptx", "xlsx", "odt", "ods", "odp", "epub", "txt", "text"]
)
CODE_ENDINGS: Final = frozenset(
    [
        "py",
        "pyi",
        "js",
        "jsx",
        "ts",
        "tsx",
        "c",
        "h",
        "cc",
        "cpp",
        "hpp",
        "cu",
        "cuh",
        "rs",
        "go",
        "java",
        "kt",
        "swift",
        "rb",
        "php",
        "pl",
        "lua",
        "sh",
        "bash",
        "zsh",
        "ps1",
        "sql",
        "r",
        "jl",
        "scala",
        "cs",
        "fs",
        "vb",
        "m",
        "mm",
        "asm",
        "s",
        "css",
        "scss",
        "less",
        "json",
        "jsonl",
        "yaml",
        "yml",
        "toml",
        "ini",
        "cfg",
        "conf",
        "xml",
        "svg",
        "proto",
        "cmake",
        "make",
        "mk",
        "dockerfile",
        "gradle",
        "tex",
        "diff",
        "patch",
    ]
)
_HTML: Final = re.compile(rb"^\s*(<!--.*?-->\s*)*<(!doctype\s+html|html[\s>])", re.I | re.S)
_MAIL: Final = re.compile(
    rb"\A(?:[\w-]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*?(?:Received|Return-Path|MIME-Version|Message-ID):",
    re.I,
)


def detect(file: BinaryIO, name: str) -> Kind:
    """Return what a file is by its content, then its ending; the file is left at its start.

    Raises: AppError for an empty, encrypted or unsupported file.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not head:
        raise refusals.damaged(name, "it is empty (0 bytes)")
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _packed_kind(file, name)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        _refuse_old_office(file, name)
    if head.startswith(_PICTURES) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        return "image"
    for magic, what, hint in _UNREAD:
        if head.startswith(magic):
            raise refusals.unsupported(name, what, hint)
    return _text_kind(head, name)


def _packed_kind(file: BinaryIO, name: str) -> Kind:
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
                kind = _OPEN_DOCUMENT.get(archive.read("mimetype").strip())
                if kind is not None:
                    return kind
            for member, kind in _BY_MEMBER:
                if member in names:
                    return kind
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise refusals.damaged(name, "its packed content is damaged") from error
    except RuntimeError as error:  # how zipfile says that a member wants a password
        raise refusals.encrypted(name) from error
    finally:
        file.seek(0)
    raise refusals.unsupported(
        name, "a packed archive or an unknown packed format", "Unpack it and add the files."
    )


def _refuse_old_office(file: BinaryIO, name: str) -> None:
    marker = "EncryptedPackage".encode("utf-16-le")
    content = file.read(4 << 20)
    file.seek(0)
    if marker in content:
        raise refusals.encrypted(name)
    raise refusals.unsupported(
        name,
        "in Microsoft Office's format of before 2007",
        "Save it as DOCX, XLSX or PPTX and add that.",
    )


def _text_kind(head: bytes, name: str) -> Kind:
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    if b"\0" in head and not wide:
        raise refusals.unsupported(
            name, "not text and of no known format", "Add a document, a table or a text file."
        )
    by_ending = _TEXT_ENDINGS.get(ending(name))
    if by_ending is not None:
        return by_ending
    if ending(name) in CODE_ENDINGS:
        return "code"
    if _HTML.match(head):
        return "html"
    if _MAIL.match(head):
        return "eml"
    return "text"
