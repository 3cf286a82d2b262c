"""HTML, EPUB and mail: all three hold pages of HTML; nothing they link to is loaded."""

from __future__ import annotations

import email
import email.policy
import posixpath
import re
import zipfile
from email.message import EmailMessage
from typing import Final
from urllib.parse import unquote
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from freehold.documents import limits, refusals
from freehold.documents.archive import open_archive, read_member
from freehold.documents.composer import Composer, Source
from freehold.documents.decoding import decode
from freehold.documents.markup import to_markdown
from freehold.documents.names import shown_name
from freehold.documents.readers.plain import read_text
from freehold.documents.values import ParsedDocument

_CHARSET: Final = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([\w-]{2,20})", re.I)
_HEADERS: Final = ("From", "To", "Cc", "Date", "Subject")
MAX_MAIL_PARTS: Final = 500


def read_html(source: Source) -> ParsedDocument:
    """Return a page's text."""
    composer = Composer(source.name)
    composer.begin_page(1)
    text = read_text(source, composer)
    if composer.notes:  # not UTF-8: the page itself may say what it is
        source.file.seek(0)
        text = _decode_page(source.file.read(), composer)
    _add_page(composer, text)
    return composer.finish("html")


def read_epub(source: Source) -> ParsedDocument:
    """Return the chapters in reading order."""
    composer = Composer(source.name, page_word="chapter")
    with open_archive(source.file, source.name, allow_doctype=True) as archive:
        if "META-INF/encryption.xml" in archive.namelist() and (
            "META-INF/rights.xml" in archive.namelist()
        ):
            raise refusals.encrypted(source.name)
        chapters = _chapters(archive, source.name)
        if len(chapters) > limits.MAX_PAGES:
            raise refusals.too_large(
                source.name, f"{len(chapters):,} chapters; the limit is {limits.MAX_PAGES:,}"
            )
        for number, chapter in enumerate(chapters, start=1):
            composer.begin_page(number)
            text, _ = decode(read_member(archive, chapter, source.name))
            _add_page(composer, text, with_title=False)
            source.report(number, len(chapters))
    return composer.finish("epub")


def read_mail(source: Source) -> ParsedDocument:
    """Return headers and text of a mail; attached files are named, not opened."""
    composer = Composer(source.name)
    composer.begin_page(1)
    if source.bytes > limits.MAX_TEXT_BYTES:
        raise refusals.too_large(source.name, "a mail of more than 100 MB")
    source.file.seek(0)
    try:
        mail = email.message_from_binary_file(source.file, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        _add_mail(composer, mail)
    except (LookupError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise refusals.damaged(source.name, "its headers or parts are damaged") from error
    return composer.finish("eml")


def _add_mail(composer: Composer, mail: EmailMessage) -> None:
    lines = [f"{name}: {mail[name]}" for name in _HEADERS if mail[name]]
    composer.add("\n".join(lines))
    body = mail.get_body(preferencelist=("plain", "html"))
    if body is not None:
        content = body.get_content()
        if body.get_content_type() == "text/html":
            _add_page(composer, str(content), with_title=False)
        else:
            composer.add(str(content).replace("\r\n", "\n"))
    names = []
    for part in mail.iter_attachments():
        names.append(shown_name(part.get_filename() or "unnamed"))
        if len(names) >= MAX_MAIL_PARTS:
            break
    if names:
        composer.add("Attached files: " + ", ".join(names))
        composer.notes.append(
            f"{len(names)} attached files were not opened; save and add them to ask about them."
        )


def _add_page(composer: Composer, text: str, *, with_title: bool = True) -> None:
    blocks, title = to_markdown(text)
    has_heading = any(block.startswith("# ") for block in blocks)
    if with_title and title and not has_heading:
        composer.add_heading(1, title)
    for block in blocks:
        composer.add(block)


def _decode_page(data: bytes, composer: Composer) -> str:
    declared = _CHARSET.search(data[:4096])
    if declared:
        try:
            text = data.decode(declared[1].decode("ascii"), errors="replace")
        except LookupError:
            pass
        else:
            composer.notes.clear()
            return text
    return decode(data)[0]


def _chapters(archive: zipfile.ZipFile, name: str) -> list[str]:
    try:
        container = fromstring(read_member(archive, "META-INF/container.xml", name))
        root = next((e.get("full-path") for e in _named(container, "rootfile")), None)
        if not root:
            raise refusals.damaged(name, "it does not say where its text is")
        package = fromstring(read_member(archive, root, name))
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise refusals.damaged(name, "its table of parts is damaged or unsafe") from error
    folder = posixpath.dirname(root)
    places = {item.get("id"): item.get("href") or "" for item in _named(package, "item")}
    chapters = []
    for item in _named(package, "itemref"):
        href = places.get(item.get("idref"))
        if href:
            chapters.append(posixpath.join(folder, unquote(href.split("#")[0])))
    if not chapters:
        raise refusals.damaged(name, "it has no chapters")
    return chapters


def _named(root: Element, name: str) -> list[Element]:
    return [e for e in root.iter() if isinstance(e.tag, str) and e.tag.rpartition("}")[2] == name]
