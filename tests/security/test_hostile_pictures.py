"""Pictures, uploads and confined processes: what may be sent to harm is refused in one sentence."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from doubles.document_files import ENGLISH, make_pdf, put
from doubles.document_world import World, http_world
from freehold.documents import copies, limits
from freehold.documents.parsing import draw_page, parse_file
from freehold.documents.recognition import Tesseract
from freehold.documents.values import PictureTask
from freehold.errors import AppError

UPLOAD = "/freehold/v1/documents/upload"


def picture(form: str, size: tuple[int, int] = (64, 48)) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", size, "white").save(target, form)
    return target.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(width: int, height: int) -> bytes:
    """Return a PNG that says it is so large; its data are few."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def refusal(path: Path) -> AppError:
    with pytest.raises(AppError) as caught:
        parse_file(path)
    assert path.name in caught.value.message
    assert caught.value.hint
    return caught.value


def test_a_picture_is_known_by_its_content(tmp_path: Path) -> None:
    document = parse_file(put(tmp_path, "photo.pdf", picture("JPEG")))
    assert (document.kind, document.text, document.scan_pages) == ("image", "", 1)
    assert "64 × 48 pixels (JPEG)" in document.notes[0]
    small = draw_page(put(tmp_path, "a.webp", picture("WEBP")), PictureTask(1, 2400))
    assert Image.open(io.BytesIO(small)).size == (64, 48)  # never larger than it is


def test_pictures_that_are_too_large_or_damaged_are_refused(tmp_path: Path) -> None:
    error = refusal(put(tmp_path, "bomb.png", png_of(100_000, 100_000)))
    assert error.code == "payload_too_large"
    assert "100,000 × 100,000 pixels" in error.message
    for name, data in (
        ("cut.png", picture("PNG", (600, 600))[:60]),
        ("nothing.gif", b"GIF89a"),
        ("few.png", png_of(5000, 5000)),
    ):
        assert refusal(put(tmp_path, name, data)).code in ("invalid_document", "payload_too_large")


def test_pages_that_are_not_there_or_damaged_are_named(tmp_path: Path) -> None:
    path = put(tmp_path, "a.pdf", make_pdf())
    with pytest.raises(AppError) as error:
        draw_page(path, PictureTask(99, 800))
    assert error.value.code == "not_found"
    with pytest.raises(AppError) as error:
        draw_page(put(tmp_path, "b.pdf", b"%PDF-1.7 nothing"), PictureTask(1, 800))
    assert error.value.code == "invalid_document"


KERNEL = """
import ctypes, os
from freehold.documents.confinement import refuse_calls
if not refuse_calls(programs=True):
    raise SystemExit("no filter here")
libc = ctypes.CDLL(None, use_errno=True)
print(libc.socket(2, 1, 0), ctypes.get_errno())
print(libc.execve(b"/bin/true", None, None), ctypes.get_errno())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's filter is Linux's")
def test_the_kernel_refuses_what_libraries_in_c_could_do() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", KERNEL],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "no filter here" in done.stderr:
        pytest.skip("this container forbids filters")
    assert done.stdout.split() == ["-1", "1", "-1", "1"], done.stderr


def test_tesseract_runs_without_network_and_files(tmp_path: Path) -> None:
    """A program in tesseract's place tries what tesseract must not be able to do."""
    script = (
        "import json, socket, sys\n"
        "said = []\n"
        f"for attempt in (lambda: socket.socket(), lambda: open({str(tmp_path / 'made')!r}, 'w')"
        ".write('x' * 100000), lambda: bytearray(1 << 30)):\n"
        "    try:\n"
        "        attempt()\n"
        "    except BaseException as error:\n"
        "        said.append(type(error).__name__)\n"
        "import os; os.write(1, json.dumps(said).encode())\n"
    )
    program = put(tmp_path, "fake", f"#!{sys.executable}\n{script}".encode())
    program.chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-I", "-m", "freehold.documents.tesseract_worker", str(program), "eng"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert json.loads(done.stdout) == ["PermissionError", "OSError", "MemoryError"], done.stderr
    assert (tmp_path / "made").stat().st_size == 0


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with http_world(tmp_path / "house") as world:
        yield world


async def post(world: World, content: bytes, **headers: str) -> httpx.Response:
    assert world.server is not None
    async with httpx.AsyncClient(base_url=world.server.url) as http:
        return await http.post(
            UPLOAD,
            params={"name": headers.pop("file", "a.txt")},
            content=content,
            headers={
                "authorization": f"Bearer {world.server.key}",
                "content-type": "application/octet-stream",
            }
            | {name.replace("_", "-"): value for name, value in headers.items()},
        )


async def test_uploads_keep_to_their_limits(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "MAX_FILE_BYTES", 1000)
    for response, status in (
        (await post(world, b"x" * 1001), 413),
        (await post(world, b"{}", content_type="application/json"), 415),
        (await post(world, b"x", content_encoding="gzip"), 415),
        (await post(world, b"x", file=" "), 400),
        (await post(world, b"x", authorization="Bearer wrong"), 401),
    ):
        assert response.status_code == status, response.text
        assert response.json()["error"]["message"]
    folder = tmp_path / "house" / "data" / "documents"
    assert list(folder.glob("*")) == []
    assert await world.client.all() == ()
    monkeypatch.setattr(copies, "MAX_FILE_BYTES", limits.MAX_FILE_BYTES)
    named = await post(world, ENGLISH.encode(), file="../../\u202egpj.exe/../a\u202eb.txt")
    assert named.json()["name"] == "ab.txt"
    odd = await world.client.get(named.json()["id"], wait_s=20)
    assert odd.phase == "ready"
    assert list(folder.glob("*")) == []  # of text no copy is kept


async def test_ids_lead_nowhere(world: World) -> None:
    assert world.server is not None
    headers = {"authorization": f"Bearer {world.server.key}"}
    async with httpx.AsyncClient(base_url=world.server.url, headers=headers) as http:
        for path in ("..%2f..%2fkey", "%2e%2e", "a" * 200, "\u202e"):
            for rest in ("", "/text", "/pages/1", "/pages/x"):
                response = await http.get(f"/freehold/v1/documents/{path}{rest}")
                assert response.status_code in (400, 404, 422), (path, rest)
            assert (await http.delete(f"/freehold/v1/documents/{path}")).status_code in (204, 404)


async def test_a_scan_is_recognised_with_the_places_of_its_words(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a program in tesseract's place, so that it runs everywhere."""
    assert world.server is not None
    table = (
        "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\t"
        "text\n1\t1\t0\t0\t0\t0\t0\t0\t200\t100\t-1\t\n"
        "5\t1\t1\t1\t1\t1\t20\t10\t90\t10\t96\tInvoice\n5\t1\t1\t1\t1\t2\t120\t10\t40\t10\t95\t4711\n"
    )
    cases = f"--list-langs) printf 'List\\neng\\n';; *) printf '{table}';;"
    program = put(tmp_path, "tesseract", f"#!/bin/sh\ncase $1 in {cases} esac".encode())
    program.chmod(0o700)
    fake = Tesseract(str(program))
    monkeypatch.setattr(world.server.house.documents.desk, "_tesseract", fake)
    document_id = await world.read(put(tmp_path, "scan.png", picture("PNG", (200, 100))))
    before = await world.client.get(document_id)
    assert (before.kind, before.scan_pages, before.passages) == ("image", 1, 0)
    assert "tesseract can recognise its text: 1 page" in before.notes[-1]
    plain = await world.client.page_image(document_id, 1)
    await world.client.recognise(document_id)
    after = await world.client.get(document_id, wait_s=20)
    assert (after.phase, after.scan_pages, after.passages) == ("ready", 0, 1)
    assert "may hold errors" in after.notes[-1]
    assert (await world.client.text(document_id)).text.strip() == "Invoice 4711"
    marked = await world.client.page_image(document_id, 1, start=8, end=12)
    pixels = Image.open(io.BytesIO(marked)).convert("RGB")
    assert pixels.getpixel((140, 15)) != (255, 255, 255)
    assert pixels.getpixel((60, 15)) == (255, 255, 255)
    assert Image.open(io.BytesIO(plain)).convert("RGB").getpixel((140, 15)) == (255, 255, 255)
    with pytest.raises(AppError) as error:
        await world.client.recognise(document_id)
    assert error.value.code == "invalid_request"


async def test_without_tesseract_it_is_said(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.server is not None
    monkeypatch.setattr(
        world.server.house.documents.desk, "_tesseract", Tesseract(str(tmp_path / "none"))
    )
    document_id = await world.read(put(tmp_path, "scan.pdf", make_pdf([[], []])))
    info = await world.client.get(document_id)
    assert info.scan_pages == 2
    assert "No vision model" in info.notes[-1]
    assert "2 pages" in info.notes[-1]
    with pytest.raises(AppError) as error:
        await world.client.recognise(document_id)
    assert error.value.code == "not_supported"
    assert "apt install tesseract-ocr" in error.value.hint
