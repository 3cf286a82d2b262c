"""Every kind of file through the real parser process."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from doubles.document_files import ENGLISH, FACTS, MAKERS, RUSSIAN, TITLE, make_pdf, put
from freehold.documents.decoding import decode
from freehold.documents.markup import to_markdown
from freehold.documents.parsing import page_boxes, parse_file
from freehold.errors import AppError


@pytest.mark.parametrize("ending", MAKERS)
def test_text_tables_and_pages_are_found(ending: str, tmp_path: Path) -> None:
    document = parse_file(put(tmp_path, f"lease.{ending}", MAKERS[ending]()))
    for fact in FACTS:
        assert fact in document.text, (fact, document.text)
    assert document.pages[0].start == 0
    assert document.pages[-1].end == len(document.text)
    for one, two in itertools.pairwise(document.pages):
        assert one.end == two.start


@pytest.mark.parametrize("ending", ["pdf", "docx", "odt", "html", "epub", "md"])
def test_headings_are_markdown(ending: str, tmp_path: Path) -> None:
    document = parse_file(put(tmp_path, f"lease.{ending}", MAKERS[ending]()))
    assert re.search(rf"^#+ {TITLE}$", document.text, re.M)


@pytest.mark.parametrize("ending", ["docx", "pptx", "xlsx", "odt", "ods", "odp", "html", "epub"])
def test_tables_are_markdown(ending: str, tmp_path: Path) -> None:
    document = parse_file(put(tmp_path, f"lease.{ending}", MAKERS[ending]()))
    assert "| Part | Price |\n| --- | --- |\n| Copper pipe | 17.4" in document.text


@pytest.mark.parametrize("ending", [e for e in MAKERS if e not in ("csv", "md", "py", "txt")])
def test_content_tells_the_kind_whatever_the_ending(ending: str, tmp_path: Path) -> None:
    document = parse_file(put(tmp_path, "wrong.dat", MAKERS[ending]()))
    assert document.kind == ending


def test_pages_of_a_pdf_and_progress(tmp_path: Path) -> None:
    pages = [[f"Chapter {n}", f"Sentence of page {n}."] for n in range(1, 46)]
    told: list[tuple[int, int]] = []
    path = put(tmp_path, "a.pdf", make_pdf(pages))
    document = parse_file(path, tell=lambda done, total: told.append((done, total)))
    assert [page.number for page in document.pages] == list(range(1, 46))
    page = document.pages[29]
    assert "Sentence of page 30." in document.text[page.start : page.end]
    assert told == [(20, 45), (40, 45), (45, 45)]


def test_boxes_stand_where_the_words_are(tmp_path: Path) -> None:
    path = put(tmp_path, "a.pdf", make_pdf([["x"], [TITLE, ENGLISH, RUSSIAN]]))
    document = parse_file(path)
    page = page_boxes(path, 2)
    span = document.pages[1]
    assert len(page.boxes) == span.end - span.start
    at = document.text.index(ENGLISH) - span.start
    boxes = [box for box in page.boxes[at : at + len(ENGLISH)] if box is not None]
    assert len(boxes) == len(ENGLISH)
    assert 55 < boxes[0].left < 70
    assert 740 < min(box.bottom for box in boxes) < max(box.top for box in boxes) < 770
    assert boxes[-1].right > boxes[0].left + 200


def test_no_page_has_no_boxes(tmp_path: Path) -> None:
    with pytest.raises(AppError) as caught:
        page_boxes(put(tmp_path, "a.pdf", make_pdf()), 9)
    assert caught.value.code == "not_found"


def test_a_scan_is_said(tmp_path: Path) -> None:
    document = parse_file(put(tmp_path, "scan.pdf", make_pdf([[], [], []])))
    assert document.text.strip() == ""
    assert document.scan_pages == 3


def test_scripts_are_left_out_and_pictures_by_their_words() -> None:
    blocks, title = to_markdown(MAKERS["html"]().decode())
    assert title == "x"
    assert "secret" not in "".join(blocks)
    assert "[picture: a boat]" in blocks[-1]
    assert f"- {RUSSIAN}" in blocks


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "cp866"])
def test_russian_encodings_are_guessed(encoding: str) -> None:
    assert decode(RUSSIAN.encode(encoding)) == (RUSSIAN, encoding)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_decide(encoding: str) -> None:
    assert decode(RUSSIAN.encode(encoding)) == (RUSSIAN, None)


def test_western_text_is_guessed() -> None:
    assert decode("naïve café résumé".encode("cp1252")) == ("naïve café résumé", "cp1252")


def test_attached_files_are_named_not_opened(tmp_path: Path) -> None:
    document = parse_file(put(tmp_path, "a.eml", MAKERS["eml"]()))
    assert "Attached files: run.exe" in document.text
    assert "1 attached files were not opened" in document.notes[0]
