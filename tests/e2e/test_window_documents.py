"""Files dropped on a real window, asked about, and the proof clicked: real server and parsers, a
real X server; the model is scripted, or the smallest real one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PySide6.QtGui import QImage

from doubles.displays import VirtualDisplay
from doubles.document_files import ENGLISH, RUSSIAN, TITLE, make_docx, make_pdf, make_xlsx, put
from doubles.engine import Step
from doubles.models import ending_model
from doubles.program import Program, real_window
from doubles.server import FakeModels, LiveServer, fake_entry, fake_house
from freehold.engine.requests import ChatPrompt, GenerateRequest

pytestmark = [pytest.mark.e2e, pytest.mark.xvfb]

QUESTION = "How much is the rent, and when can it be ended?"
EDGE = (214, 128, 16)  # of the box that the server draws around a sentence on a page
LINES = [TITLE, *[f"{n}. The tenant keeps part {n} in repair." for n in range(1, 38)], ENGLISH]


def answer(request: GenerateRequest) -> Sequence[Step]:
    """Quote what the prompt holds, as a model does that was taught to."""
    assert isinstance(request.prompt, ChatPrompt)
    prompt = "\n".join(str(message["content"]) for message in request.prompt.messages)

    def number(file: str, words: str) -> str:
        pattern = rf"passage (\d+) · {re.escape(file)} ·[^\n]*>>>\n(?:(?!<<<).)*?{re.escape(words)}"
        found = re.search(pattern, prompt, re.S)
        return found[1] if found else "99"

    lease, minutes = number("lease.pdf", ENGLISH), number("minutes.docx", RUSSIAN)
    text = (
        f'The rent is 4,250 euros a year [{lease}: "{ENGLISH}"].'
        f' It can be ended ninety days before [{minutes}: "{RUSSIAN}"].'
    )
    return [text[start : start + 7] for start in range(0, len(text), 7)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    entries = [fake_entry("tiny", name="Tiny 1B")]
    server = LiveServer(lambda: fake_house(tmp_path / "house", FakeModels(answer), entries))
    yield server.start()
    server.stop()


@pytest.fixture
def window(server: LiveServer, virtual_display: VirtualDisplay) -> Iterator[Program]:
    environment = {
        **virtual_display.environment,
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
        "FREEHOLD_KEY": server.key,
    }
    program = Program("doubles.desktop_app", environment, "--at", server.url)
    try:
        assert program.read(90) == "ready"
        yield program
    finally:
        program.end()


def artifacts(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("FREEHOLD_ARTIFACTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def edge_rows(picture: QImage, view: Sequence[int]) -> list[int]:
    """Return the rows of the reader's view in which the box's edge is drawn."""
    left, top, width, height = view
    rows = []
    for y in range(top, min(top + height, picture.height())):
        inked = 0
        for x in range(left, min(left + width, picture.width()), 3):
            color = picture.pixelColor(x, y)
            inked += (color.red(), color.green(), color.blue()) == EDGE
        if inked > 20:
            rows.append(y)
    return rows


def make_png() -> bytes:
    import io

    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", (64, 40), (30, 120, 80)).save(content, "PNG")
    return content.getvalue()


def test_files_are_dropped_asked_about_and_their_proof_is_boxed(
    window: Program, tmp_path: Path
) -> None:
    pages = [["Cover", "Nothing here."], LINES]
    paths = [
        str(put(tmp_path, "lease.pdf", make_pdf(pages))),
        str(put(tmp_path, "minutes.docx", make_docx())),
        str(put(tmp_path, "prices.xlsx", make_xlsx())),
        str(put(tmp_path, "boathouse.png", make_png())),
        str(put(tmp_path, "broken.pdf", b"%PDF-1.7 nothing")),
    ]
    window.do("page chats")
    assert window.do(f"drag {json.dumps(paths)}") == "Drop to add to this chat"
    assert window.do(f"drop {json.dumps(paths)}", 90) is True
    chips = {chip["name"]: chip for chip in window.do("chips")}
    assert list(chips) == [Path(path).name for path in paths]
    assert "2 pages" in chips["lease.pdf"]["words"]
    assert "tokens" in chips["minutes.docx"]["words"]
    assert "sheet" in chips["prices.xlsx"]["words"]
    assert chips["broken.pdf"]["look"] == "error"
    assert "broken.pdf" in chips["broken.pdf"]["words"]
    folder = artifacts(tmp_path)
    window.do(f"shot {folder / 'documents-chips.png'}")

    assert window.do(f"ask {QUESTION}", 90) is True
    proof = window.do("proof")
    assert proof["text"] == (
        "The rent is 4,250 euros a year [1]. It can be ended ninety days before [2]."
    )
    assert proof["citations"] == ["lease.pdf", "minutes.docx"]
    assert "whole document" in proof["line"].lower()
    assert proof["attached"] == ["lease.pdf", "minutes.docx", "prices.xlsx", "boathouse.png"]

    for theme in ("light", "dark"):
        assert window.do(f"theme {theme}") is True
        assert window.do("cite 1", 60) is True
        reader = window.do("reader")
        assert (reader["title"], reader["page"], reader["as"]) == ("lease.pdf", "2", "page")
        assert ENGLISH.rstrip(".") in reader["quote"]
        picture = folder / f"documents-page-{theme}.png"
        window.do(f"shot {picture}")
        rows = edge_rows(QImage(str(picture)), reader["view"])
        assert rows, "the sentence is boxed and scrolled into view"
        assert rows[-1] - rows[0] < 60
        assert window.do("cite 2", 60) is True
        reader = window.do("reader")
        assert (reader["title"], reader["as"]) == ("minutes.docx", "text")
        assert reader["marked"] == RUSSIAN.rstrip(".")
        assert reader["boxes"]
        window.do(f"shot {folder / f'documents-text-{theme}.png'}")


@pytest.fixture
def own_window(virtual_display: VirtualDisplay, data_folder: Path) -> Iterator[Program]:
    with real_window(virtual_display.environment, data_folder) as program:
        yield program


@pytest.mark.engine
def test_a_real_engine_reads_documents_and_goes_on(own_window: Program, tmp_path: Path) -> None:
    """The model is too small to answer well: that it answers, twice, from sources, is enough."""
    window = own_window
    window.do(f"import {ending_model()}", 60)
    paths = [str(put(tmp_path, "minutes.docx", make_docx()))]
    window.do("page chats")
    assert window.do(f"drop {json.dumps(paths)}", 90) is True
    assert window.do(f"ask {QUESTION}", 120) is True
    assert window.do("ask And then?", 120) is True
    state = window.do("state")
    assert state["statuses"] == ["complete"] * 4
    proof = window.do("proof")
    assert proof["line"]
    assert proof["attached"] == [], "it came with the question before and is still in scope"
