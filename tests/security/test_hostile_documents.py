"""Files made to harm: each is one error that names the file, and the parent goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from doubles.document_files import (
    make_docx,
    make_epub,
    make_odf,
    make_pdf,
    make_xlsx,
    pack,
    put,
    repack,
)
from freehold.documents import limits, parsing
from freehold.documents.names import shown_name
from freehold.documents.parsing import parse_file
from freehold.errors import AppError

LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<d>&b;</d>"
)
FETCHES = '<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]><d>&a;</d>'


def _refusal(path: Path) -> AppError:
    with pytest.raises(AppError) as caught:
        parse_file(path)
    assert caught.value.hint
    return caught.value


def test_empty_file(tmp_path: Path) -> None:
    error = _refusal(put(tmp_path, "nothing.pdf", b""))
    assert error.code == "invalid_document"
    assert "nothing.pdf" in error.message
    assert "0 bytes" in error.message


def test_encrypted_pdf_and_office_are_named(tmp_path: Path) -> None:
    for name, data in (
        ("a.pdf", make_pdf(password="word")),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le")),
    ):
        error = _refusal(put(tmp_path, name, data))
        assert error.code == "encrypted_document"
        assert "password" in error.message


@pytest.mark.parametrize(
    "xml", [LAUGHS, FETCHES, "<!-- " + random.Random(1).randbytes(2_000_000).hex() + "-->" + LAUGHS]
)
def test_entities_are_refused(xml: str, tmp_path: Path) -> None:
    for name, data in (
        ("a.docx", repack(make_docx(), {"word/document.xml": xml})),
        ("a.xlsx", repack(make_xlsx(), {"xl/sharedStrings.xml": xml.encode("utf-16")})),
        ("a.odt", repack(make_odf("text"), {"content.xml": xml})),
        ("a.epub", repack(make_epub(), {"o/p.opf": xml})),
    ):
        error = _refusal(put(tmp_path, name, data))
        assert error.code == "invalid_document", name
        assert "root:" not in error.message


def test_zip_bomb_is_refused_unopened(tmp_path: Path) -> None:
    bomb = repack(make_docx(), {"word/media/x.xml": b"\0" * 80_000_000})
    assert len(bomb) < 200_000
    error = _refusal(put(tmp_path, "bomb.docx", bomb))
    assert error.code == "payload_too_large"
    assert "zip bomb" in error.hint


def test_a_lying_size_is_damage(tmp_path: Path) -> None:
    data = bytearray(pack({"word/document.xml": b"x" * 5000}))
    at = data.rindex(b"PK\x01\x02") + 24  # the size in the table of contents
    data[at : at + 4] = (10).to_bytes(4, "little")
    assert _refusal(put(tmp_path, "a.docx", bytes(data))).code == "invalid_document"


def test_archives_are_not_opened(tmp_path: Path) -> None:
    error = _refusal(put(tmp_path, "a.zip", pack({"b.zip": pack({"c.txt": "deep"})})))
    assert error.code == "unsupported_media_type"
    document = parse_file(put(tmp_path, "a.docx", repack(make_docx(), {"x.zip": pack({"c": "z"})})))
    assert "boathouse" in document.text


def test_names_leading_outside_are_refused(tmp_path: Path) -> None:
    package = (
        '<package><manifest><item id="a" href="../../../../etc/passwd"/></manifest>'
        '<spine><itemref idref="a"/></spine></package>'
    )
    error = _refusal(put(tmp_path, "a.epub", repack(make_epub(), {"o/p.opf": package})))
    assert "outside itself" in error.message


def test_names_are_shown_harmless(tmp_path: Path) -> None:
    assert shown_name("a/b\\..\\evil\x1b[2J\u202etxt.exe") == "evil[2Jtxt.exe"
    assert shown_name("\u202e") == "unnamed"
    assert len(shown_name("x" * 5000 + ".pdf")) <= 200
    document = parse_file(put(tmp_path, "bill\u202efdp.md", b"hello"))
    assert document.name == "billfdp.md"
    assert "turn text around" in document.notes[0]


def test_folders_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        assert _refusal(path).code == "unsupported_media_type"
    assert _refusal(tmp_path / "none").code == "not_found"


def test_unread_formats_say_what_to_do(tmp_path: Path) -> None:
    for data in (b"\x7fELF\2", b"{\\rtf1", b"\x89PNG\r\n\x1a\n", b"\0\1\2\3", b"PK\x05\x06" * 9):
        assert _refusal(put(tmp_path, "a.pdf", data)).code in (
            "unsupported_media_type",
            "invalid_document",
        )


def test_too_many_pages_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [[str(n)] for n in range(limits.MAX_PAGES + 7)]
    document = parse_file(put(tmp_path, "long.pdf", make_pdf(pages)))
    assert document.page_count == 5_007
    assert len(document.pages) == 5_000
    assert "first 5,000 of 5,007 pages" in document.notes[0]


def test_too_large_files_are_not_started(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(limits.MAX_FILE_BYTES + 1)
    assert _refusal(path).code == "payload_too_large"


CONFINED = """
import os, socket, subprocess
from freehold.documents.parser_worker import confine
confine()
for attempt in (
    lambda: bytearray(1 << 30),
    lambda: socket.create_connection(("127.0.0.1", 9)),
    lambda: socket.socket(),
    lambda: open({path!r}, "w"),
    lambda: os.open({path!r}, os.O_CREAT | os.O_WRONLY),
    lambda: subprocess.run(["true"]),
    lambda: os.system("true"),
    lambda: os.unlink({kept!r}),
):
    try:
        attempt()
    except Exception as error:
        print(type(error).__name__)
    else:
        print("did it")
"""


def test_a_confined_process_can_do_little(tmp_path: Path) -> None:
    kept = put(tmp_path, "kept", b"x")
    script = CONFINED.format(path=str(tmp_path / "made"), kept=str(kept))
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["MemoryError", *["PermissionError"] * 7]
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_what_ended_a_parser_is_named() -> None:
    assert "30 seconds of processor time" in parsing._death(-signal.SIGXCPU, "a.pdf").message
    assert "ended by the system" in parsing._death(-signal.SIGKILL, "a.pdf").message
    assert "crashed (SIGSEGV)" in parsing._death(-signal.SIGSEGV, "a.pdf").message


def test_blank_space_takes_no_endless_time(tmp_path: Path) -> None:
    blank = " " * 300_000
    rows = f'a,b\n"x{blank}y",z\n'
    document = parse_file(put(tmp_path, "a.csv", rows.encode()))
    assert "| x y | z |" in document.text


def test_silence_ends_the_parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PARSER_SILENCE_S", 0.001)
    error = _refusal(put(tmp_path, "a.md", b"hello"))
    assert "nothing came of reading it" in error.message


def test_a_dying_parser_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing.sys, "executable", "/bin/false")
    error = _refusal(put(tmp_path, "a.md", b"hello"))
    assert "crashed (status 1)" in error.message
