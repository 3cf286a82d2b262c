"""What a model writes is hostile input: nothing is loaded, run or opened by showing it."""

from __future__ import annotations

import http.server
import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QTextDocument
from PySide6.QtWidgets import QApplication, QLabel, QWidget

from freehold.ui.chats.body_view import BodyView
from freehold.ui.chats.links import open_link, real_target
from freehold.ui.chats.markdown import SafeDocument, is_safe_link, markdown_document
from freehold.ui.chats.prose_view import ProseView
from freehold.ui.chats.table_view import MarkdownTable
from freehold.ui.chats.tips import plain_tip
from freehold.ui.theme import Theme

TARGETS = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "&#106;avascript:alert(1)",
    "vbscript:msgbox(1)",
    "data:text/html;base64,PHNjcmlwdD4=",
    "file:///etc/passwd",
    "file://attacker/share/x",
    "//attacker/share/x.png",
    "\\\\attacker\\share\\x.png",
    "/dev/zero",
    "qrc:/x",
    ":/qt-project.org/x.png",
    "ftp://example.org/x",
    "smb://attacker/x",
    "ms-msdt:/id",
    "http:///nohost",
    "https://example.org/a.png",
    "http://127.0.0.1:1/x.svg",
    "mailto:",
)
FORMS = (
    "[text]({})",
    "![alt]({})",
    "[![alt]({0})]({0})",
    "<{}>",
    "[ref][r]\n\n[r]: {}",
    "![ref][r]\n\n[r]: {}",
    '[text]({} "<img src=x onerror=alert(1)>")',
    '<a href="{}">x</a>',
    '<img src="{}" onerror="alert(1)">',
    '<iframe src="{}"></iframe>',
    '<svg><image href="{}"/></svg>',
    "<style>@import url({})</style>",
    "<link rel=stylesheet href='{}'>",
    "<object data='{}'></object>",
    "| a |\n|---|\n| ![x]({}) |",
    "> - ![x]({})",
    "# [x]({}) ![y]({})",
    "1. ```\n   ![x]({})\n",
)
LOOSE = (
    "<script>alert(1)</script>",
    "<ScRiPt>alert(1)//",
    "<div onmouseover=alert(1)>x",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!--><script>x</script>-->",
    "<![CDATA[<script>x</script>]]>",
    "`<script>`",
    '<math><mi//xlink:href="data:x,<script>alert(4)</script>">',
    "\x00<script>\x00",
    "<\ufffcimg src=x>",
    "{{constructor.constructor('alert(1)')()}}",
    "[a](<javascript:alert(1)>)",
    "[a]( javascript:alert(1))",
    "<https://example.org/\u202egnp.exe>",
    "[https://bank.example](https://evil.example)",
    "*" * 5_000,
    "[" * 5_000,
    "![" * 2_000,
    "<" * 5_000,
    "> " * 500 + "x",
    "- " * 300 + "x",
    "`" * 3_001,
    "|" * 3_000 + "\n" + "|-" * 1_500,
    "\\" * 3_000,
    "&#0;&#xFFFFFFFF;&#x110000;",
    "\ud800 lone surrogate",
)
CORPUS = [
    form.format(*([target] * form.count("{"))) for form, target in itertools.product(FORMS, TARGETS)
] + [
    wrap.format(text)
    for text in LOOSE
    for wrap in ("{}", "x {} y", "- {}", "> {}", "**{}**", "<think>{}</think>")
    if len(text) < 100 or wrap == "{}"
]


@pytest.fixture
def theme(qapp: QApplication) -> Iterator[Theme]:
    theme = Theme(qapp, setting="light")
    yield theme
    shiboken6.delete(theme)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record every resource a document is asked to load."""
    names: list[str] = []
    original = SafeDocument.loadResource

    def record(self: SafeDocument, kind: int, name: QUrl | str) -> object:
        names.append(name.toString() if isinstance(name, QUrl) else name)
        return original(self, kind, name)

    monkeypatch.setattr(SafeDocument, "loadResource", record)
    return names


def anchors(document: QTextDocument) -> list[str]:
    found = []
    block = document.begin()
    while block.isValid():
        iterator = block.begin()
        while not iterator.atEnd():
            form = iterator.fragment().charFormat()
            assert not form.isImageFormat()
            if form.isAnchor() or form.anchorHref():
                found.append(form.anchorHref())
            tip = form.toolTip()
            assert "<img" not in tip
            iterator += 1
        block = block.next()
    return found


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 450
    assert len(set(CORPUS)) == len(CORPUS)


def test_no_script_no_resource_no_dangerous_link(theme: Theme, asked: list[str]) -> None:
    for text in CORPUS:
        document = markdown_document(text, theme)
        document.setTextWidth(600)
        document.size()
        for href in anchors(document):
            assert QUrl(href).scheme().lower() in ("http", "https", "mailto"), (text, href)
            assert is_safe_link(QUrl(href))
        html = document.toHtml().lower()
        for mark in ("<script", "<img", "<iframe", "<object", 'href="javascript', 'href="file'):
            assert mark not in html, text
    assert asked == []


def test_the_corpus_survives_the_whole_view(theme: Theme, asked: list[str], qtbot: object) -> None:
    window = QWidget()
    for start in range(0, len(CORPUS), 40):
        body = BodyView(theme, window)
        body.set_text("\n\n".join(CORPUS[start : start + 40]).replace("\ud800", "?"))
        body.finish()
        while body.step():
            pass
        body.resize(600, body.heightForWidth(600))
        body.grab()
        shiboken6.delete(body)
    shiboken6.delete(window)
    assert asked == []


@pytest.mark.timeout(30, method="thread")
def test_devices_fifos_shares_and_hosts_are_never_touched(
    theme: Theme, tmp_path: Path, qtbot: object
) -> None:
    fifo = tmp_path / "fifo.png"
    os.mkfifo(fifo)
    asked: list[str] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

    server = http.server.HTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        for target in (
            "file:///dev/zero",
            "/dev/zero",
            str(fifo),
            fifo.as_uri(),
            "//unc/share/x.png",
            f"http://127.0.0.1:{server.server_port}/x.png",
        ):
            view = ProseView(theme)
            view.resize(500, 300)
            view.show()
            view.show_markdown(f"![picture]({target}) and **text**")
            view.heightForWidth(500)
            view.grab()
            QApplication.processEvents()
            assert "[image: picture – not loaded] and text" in view.toPlainText()
            # Also when an image gets past the cleaning:
            view.document().setHtml(f'<img src="{target}" width="20" height="20">')
            view.grab()
            shiboken6.delete(view)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert asked == []


def test_links_open_after_a_question_with_the_real_host_only(
    theme: Theme, monkeypatch: pytest.MonkeyPatch, qtbot: object
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    parent = QWidget()
    for bad in ("file:///etc/passwd", "javascript:alert(1)", "ftp://x.org/", "http:///x", "x"):
        assert open_link(theme, parent, QUrl(bad)) is None
    dialog = open_link(theme, parent, QUrl("https://bank.example@evil.example:8443/login"))
    assert dialog is not None
    assert opened == []
    words = " ".join(label.text() for label in dialog.findChildren(QLabel))
    assert "Open evil.example:8443?" in words
    dialog.choose("cancel")
    assert opened == []
    dialog = open_link(theme, parent, QUrl("https://example.org/a"))
    assert dialog is not None
    dialog.choose("open")
    assert opened == ["https://example.org/a"]
    shiboken6.delete(parent)


def test_a_host_is_named_as_it_is_sent() -> None:
    assert real_target(QUrl("https://аpple.com/")) == "xn--pple-43d.com"
    assert real_target(QUrl("mailto:ann@example.org?subject=x")) == "ann@example.org"


def test_tool_tips_are_plain() -> None:
    assert plain_tip("<img src='file:///dev/zero'>") == (
        "<qt>&lt;img src=&#x27;file:///dev/zero&#x27;&gt;</qt>"
    )


def test_a_table_of_5000_rows_does_not_freeze(theme: Theme, qtbot: object) -> None:
    rows = "".join(f"| {n} | **name {n}** | <img src=x> |\n" for n in range(5_000))
    table = MarkdownTable(theme)
    table.show_table("| id | name | html |\n|---|---|---|\n" + rows, finished=True)
    table.resize(600, table.heightForWidth(600))
    table.grab()
    assert table.is_grid
    assert table.row_count == 5_000
    assert table.heightForWidth(600) < 800
    shiboken6.delete(table)
