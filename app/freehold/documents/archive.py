"""Packed documents (Office, OpenDocument, EPUB), looked through before anything is unpacked.

Members are read by name into memory and never written out, so a name like `../x` leads nowhere;
archives inside archives stay closed.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from freehold.documents import limits, refusals
from freehold.units import format_bytes

CHUNK_BYTES: Final = 1 << 20
_DECLARATION: Final = re.compile(rb"<!(DOCTYPE|ENTITY)", re.I)
_XML_ENDINGS: Final = (".xml", ".rels", ".opf", ".ncx", ".vml")
DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    ValueError,
)


@contextmanager
def open_archive(
    file: BinaryIO, name: str, *, allow_doctype: bool = False
) -> Iterator[zipfile.ZipFile]:
    """Yield the archive once its sizes, ratios and XML declarations are found harmless.

    Raises: AppError `invalid_document`, `encrypted_document` or `payload_too_large`.
    """
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            _check_sizes(archive, name)
            if not allow_doctype:
                _check_declarations(archive, name)
            yield archive
    except DAMAGE as error:
        raise refusals.damaged(name, "its packed content is damaged") from error
    finally:
        file.seek(0)


def read_member(archive: zipfile.ZipFile, member: str, name: str) -> bytes:
    """Return one member's bytes; names that lead outside count as missing.

    Raises: AppError `invalid_document` when it is missing.
    """
    path = posixpath.normpath(member.replace("\\", "/"))
    if path.startswith(("../", "/")) or path == "..":
        raise refusals.damaged(name, f"it refers to “{member[:80]}” outside itself")
    try:
        return archive.read(path)
    except KeyError as error:
        raise refusals.damaged(name, f"its part “{path[:80]}” is missing") from error


def _check_sizes(archive: zipfile.ZipFile, name: str) -> None:
    members = archive.infolist()
    if len(members) > limits.MAX_MEMBERS:
        raise refusals.too_large(
            name, f"{len(members):,} packed parts; the limit is {limits.MAX_MEMBERS:,}"
        )
    total = 0
    for member in members:
        if member.flag_bits & 1:
            raise refusals.encrypted(name)
        total += member.file_size
        swollen = member.file_size > limits.RATIO_MATTERS_BYTES and (
            member.file_size > limits.MAX_RATIO * max(1, member.compress_size)
        )
        if swollen or member.file_size > limits.MAX_MEMBER_BYTES:
            raise refusals.too_large(
                name,
                f"a packed part would unpack to {format_bytes(member.file_size)}"
                f" from {format_bytes(member.compress_size)}",
                "This is how a zip bomb looks; do not trust where it came from.",
            )
    if total > limits.MAX_UNPACKED_BYTES:
        raise refusals.too_large(
            name,
            f"unpacked it has {format_bytes(total)};"
            f" the limit is {format_bytes(limits.MAX_UNPACKED_BYTES)}",
        )


def _check_declarations(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse document types and entities: no program that makes such files writes them."""
    for member in archive.infolist():
        if not member.filename.lower().endswith(_XML_ENDINGS):
            continue
        tail = b""
        with archive.open(member) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                # UTF-16 has a zero beside each of these letters.
                if _DECLARATION.search((tail + chunk).replace(b"\0", b"")):
                    raise refusals.damaged(
                        name, "it declares XML entities, which harmless documents never do"
                    )
                tail = chunk[-64:]
