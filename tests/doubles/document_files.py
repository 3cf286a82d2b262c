"""Small files of every kind that documents are read from, made here, English and Russian.

Each maker returns the file's bytes; `FACTS` are words that a reader must find in every one.
"""

from __future__ import annotations

import email.message
import io
import random
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import docx
import openpyxl
import pptx
from PIL import Image
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from freehold.paths import resources

TITLE = "Lease of the boathouse"
ENGLISH = "The yearly rent is 4,250 euros, due on the third of March."
RUSSIAN = "Договор расторгается за девяносто дней до окончания срока."
ROWS = (("Part", "Price"), ("Copper pipe", "17.40"), ("Brass valve", "23.15"))
FACTS = (TITLE, ENGLISH, RUSSIAN, "Copper pipe", "23.15")

ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
    ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    ' xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
    ' xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"'
)


def make_pdf(pages: Sequence[Sequence[str]] | None = None, *, password: str = "") -> bytes:
    """Return a PDF; the first line of a page is large."""
    rows = [" ".join(row) for row in ROWS]
    pages = [[TITLE, ENGLISH, RUSSIAN, *rows]] if pages is None else pages
    if "DejaVu" not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont("DejaVu", resources() / "fonts" / "DejaVuSans.ttf"))
    buffer = io.BytesIO()
    canvas = Canvas(buffer, encrypt=password or None, invariant=True)
    for lines in pages:
        for index, line in enumerate(lines):
            canvas.setFont("DejaVu", 20 if index == 0 else 11)
            canvas.drawString(60, 780 - 15 * index - (10 if index else 0), line)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def make_docx() -> bytes:
    """Return a Word document with heading and table."""
    document = docx.Document()
    document.add_heading(TITLE, 1)
    document.add_paragraph(ENGLISH)
    document.add_paragraph(RUSSIAN)
    table = document.add_table(rows=0, cols=2)
    for row in ROWS:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    return _saved(document.save)


def make_pptx() -> bytes:
    """Return two slides, the second with a table."""
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = TITLE
    slide.placeholders[1].text = f"{ENGLISH}\n{RUSSIAN}"
    second = deck.slides.add_slide(deck.slide_layouts[5])
    second.shapes.title.text = "Prices"
    table = second.shapes.add_table(3, 2, 0, 0, 9_000_000, 3_000_000).table
    for r, row in enumerate(ROWS):
        for c, text in enumerate(row):
            table.cell(r, c).text = text
    return _saved(deck.save)


def make_xlsx() -> bytes:
    """Return a book of two sheets."""
    book = openpyxl.Workbook()
    book.active.title = "Terms"
    for text in (TITLE, ENGLISH, RUSSIAN):
        book.active.append([text])
    prices = book.create_sheet("Prices")
    for row in ROWS:
        prices.append([row[0], float(row[1]) if row[1][0].isdigit() else row[1]])
    return _saved(book.save)


def make_odf(kind: str) -> bytes:
    """Return an OpenDocument file: `text`, `spreadsheet` or `presentation`."""
    rows = "".join(
        "<table:table-row>"
        + "".join(f"<table:table-cell><text:p>{t}</text:p></table:table-cell>" for t in row)
        + "</table:table-row>"
        for row in ROWS
    )
    table = f'<table:table table:name="Prices">{rows}</table:table>'
    words = f"<text:p>{ENGLISH}</text:p><text:p>{RUSSIAN}</text:p>"
    if kind == "text":
        body = f'<text:h text:outline-level="1">{TITLE}</text:h>{words}{table}'
    elif kind == "presentation":
        body = f'<draw:page draw:name="one"><draw:frame><draw:text-box><text:p>{TITLE}</text:p>'
        body += f"{words}</draw:text-box></draw:frame>{table}</draw:page>"
    else:
        cells = "".join(
            f"<table:table-row><table:table-cell><text:p>{t}</text:p></table:table-cell>"
            "</table:table-row>"
            for t in (TITLE, ENGLISH, RUSSIAN)
        )
        body = f'<table:table table:name="Terms">{cells}</table:table>{table}'
    content = (
        f"<office:document-content {ODF}><office:body><office:{kind}>{body}"
        f"</office:{kind}></office:body></office:document-content>"
    )
    return pack(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "META-INF/manifest.xml": "<manifest/>",
            "content.xml": content,
        }
    )


def make_html() -> bytes:
    """Return a page with what must be left out too."""
    rows = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in ROWS)
    return (
        f"<!DOCTYPE html><html><head><title>x</title><style>p{{}}</style></head><body>"
        f"<h1>{TITLE}</h1><p>{ENGLISH}</p><script>secret()</script><ul><li>{RUSSIAN}</li></ul>"
        f'<table>{rows}</table><img src="http://127.0.0.1:9/x.png" alt="a boat"></body></html>'
    ).encode()


def make_epub() -> bytes:
    """Return a book of one chapter."""
    return pack(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfiles><rootfile full-path="o/p.opf"/>'
            "</rootfiles></container>",
            "o/p.opf": '<package><manifest><item id="a" href="one.xhtml"/></manifest>'
            '<spine><itemref idref="a"/></spine></package>',
            "o/one.xhtml": make_html().decode(),
        }
    )


def make_eml() -> bytes:
    """Return a mail with an attached program."""
    mail = email.message.EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "ann@example.org", "bo@example.org", TITLE
    mail.set_content("\n".join([ENGLISH, RUSSIAN, *(" ".join(row) for row in ROWS)]))
    mail.add_attachment(b"MZ\0", maintype="application", subtype="x", filename="run.exe")
    return bytes(mail)


def make_csv() -> bytes:
    """Return a table separated by semicolons."""
    lines = [f"{TITLE};", f"{ENGLISH};", f"{RUSSIAN};", *(";".join(row) for row in ROWS)]
    return "\n".join(lines).encode()


def make_markdown() -> bytes:
    """Return a text with heading and table."""
    rows = "\n".join("| " + " | ".join(row) + " |" for row in ROWS)
    return f"# {TITLE}\n\n{ENGLISH}\n\n{RUSSIAN}\n\n{rows}\n".encode()


MAKERS: dict[str, Callable[[], bytes]] = {
    "pdf": make_pdf,
    "docx": make_docx,
    "pptx": make_pptx,
    "xlsx": make_xlsx,
    "odt": lambda: make_odf("text"),
    "ods": lambda: make_odf("spreadsheet"),
    "odp": lambda: make_odf("presentation"),
    "html": make_html,
    "epub": make_epub,
    "eml": make_eml,
    "csv": make_csv,
    "md": make_markdown,
    "txt": make_markdown,
    "py": make_markdown,
}


def make_picture(form: str) -> bytes:
    """Return a picture of noise, which every decoder has to work for."""
    noise = random.Random(form).randbytes(96 * 64 * 3)
    return _saved(lambda target: Image.frombytes("RGB", (96, 64), noise).save(target, form))


PICTURES: dict[str, Callable[[], bytes]] = {
    "png": lambda: make_picture("PNG"),
    "jpg": lambda: make_picture("JPEG"),
    "webp": lambda: make_picture("WEBP"),
    "gif": lambda: make_picture("GIF"),
    "tiff": lambda: make_picture("TIFF"),
}


def pack(members: dict[str, str | bytes], *, stored: bool = False) -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def repack(data: bytes, changed: dict[str, str | bytes]) -> bytes:
    """Return an archive with some members replaced or added."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members: dict[str, str | bytes] = {n: archive.read(n) for n in archive.namelist()}
    return pack({**members, **changed})


def put(folder: Path, name: str, data: bytes) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(data)
    return path


def _saved(save: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()
