"""Pictures: pages of a PDF as the reader shows them, and picture files, decoded here alone."""

from __future__ import annotations

import ctypes
import io
import struct
import warnings
import zlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from freehold.documents import limits, refusals
from freehold.documents.composer import Composer, Source
from freehold.documents.readers.pdf import open_pdf, page_characters
from freehold.documents.values import ParsedDocument, PictureTask
from freehold.errors import AppError

# Named here, so that no decoder is looked for after the door is closed.
DECODERS: Final = (
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
MAX_DRAWN_PIXELS: Final = 12_000_000
MARK: Final = np.array([255, 226, 120], dtype=np.uint16)
EDGE: Final = np.array([214, 128, 16], dtype=np.uint8)
EDGE_PIXELS: Final = 2
PADDING: Final = 2
MARK_ENTRY: Final = b"mark"
Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]


def draw_page(source: Source, task: PictureTask) -> bytes:
    """Return a PDF's page as PNG, the lines of the wanted characters boxed."""
    document = open_pdf(source)
    try:
        if not 1 <= task.page <= len(document):
            raise AppError(
                "not_found",
                f"“{source.name}” has no page {task.page}.",
                f"It has {len(document):,} pages.",
            )
        page = document[task.page - 1]
        width, height = page.get_size()
        scale = task.width / max(1.0, width)
        scale = min(scale, (MAX_DRAWN_PIXELS / max(1.0, width * height)) ** 0.5)
        pixels = _render(page, scale, grey=task.grey)
        boxes = _shares(pixels, task)
        if task.end > task.start:
            boxes += _lines(_boxes(page, task, pixels.shape))
        return _marked(pixels, boxes)
    except pdfium.PdfiumError as error:
        raise refusals.damaged(source.name, f"page {task.page} is damaged") from error
    finally:
        document.close()


def read_image(source: Source) -> ParsedDocument:
    """Return a picture as a document of one page without text; its size and form are checked."""
    with _open_image(source) as image:
        width, height = image.size
        frames = int(getattr(image, "n_frames", 1))
        image.draft("RGB", (64, 64))
        image.load()  # what cannot be decoded is refused now
        form = image.format or "?"
    composer = Composer(source.name)
    composer.begin_page(1)
    composer.notes.append(f"A picture of {width:,} × {height:,} pixels ({form}).")
    if frames > 1:
        composer.notes.append(f"Only the first of its {frames:,} pictures is used.")
    return msgspec.structs.replace(composer.finish("image"), scan_pages=1)


def draw_image(source: Source, task: PictureTask) -> bytes:
    """Return a picture file as PNG in the wanted width, never larger than it is."""
    with _open_image(source) as image:
        width = min(task.width, image.size[0])
        height = max(1, round(image.size[1] * width / image.size[0]))
        image.draft("RGB", (width, height))
        drawn = image.convert("L" if task.grey else "RGB").resize((width, height))
        pixels = np.array(drawn)
    return _marked(pixels, _shares(pixels, task))


def to_png(pixels: Pixels, text: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """Return rows of grey or RGB pixels as a PNG file; `text` are its entries of words."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(height, -1)
    lined = np.concatenate([np.zeros((height, 1), dtype=np.uint8), rows], axis=1)
    colour = 2 if pixels.ndim == 3 else 0
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    data = zlib.compress(lined.tobytes(), 3)
    words = tuple((b"tEXt", key + b"\0" + value) for key, value in text)
    parts = ((b"IHDR", header), *words, (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def _render(page: Any, scale: float, *, grey: bool) -> Pixels:
    bitmap = page.render(scale=scale, grayscale=grey, rev_byteorder=True, may_draw_forms=False)
    pixels = np.array(bitmap.to_numpy())
    bitmap.close()
    return pixels if grey and pixels.ndim == 2 else np.ascontiguousarray(pixels[..., :3])


def _boxes(page: Any, task: PictureTask, shape: tuple[int, ...]) -> Iterable[Box]:
    """Yield the wanted characters' boxes in pixels."""
    height, width = shape[:2]
    text_page = page.get_textpage()
    x, y = ctypes.c_int(), ctypes.c_int()
    for place in page_characters(text_page)[task.start : task.end]:
        if place is None:
            continue
        corners = []
        left, bottom, right, top = text_page.get_charbox(place, loose=True)
        for at in ((left, bottom), (right, top)):
            raw.FPDF_PageToDevice(page.raw, 0, 0, width, height, 0, *at, x, y)
            corners.append((x.value, y.value))
        (x0, y0), (x1, y1) = corners
        if x0 != x1 and y0 != y1:  # spaces may have no size
            yield min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _lines(boxes: Iterable[Box]) -> list[Box]:
    """Return one box per line: neighbours that share most of their height become one."""
    lines: list[Box] = []
    for box in boxes:
        if lines:
            last = lines[-1]
            shared = min(last[3], box[3]) - max(last[1], box[1])
            if shared > 0.3 * min(last[3] - last[1], box[3] - box[1]):
                lines[-1] = (
                    min(last[0], box[0]),
                    min(last[1], box[1]),
                    max(last[2], box[2]),
                    max(last[3], box[3]),
                )
                continue
        lines.append(box)
    return lines


def _shares(pixels: Pixels, task: PictureTask) -> list[Box]:
    """Return the boxes that are given as shares of the page."""
    height, width = pixels.shape[:2]
    return _lines(
        (round(left * width), round(top * height), round(right * width), round(bottom * height))
        for left, top, right, bottom in task.marks
    )


def _marked(pixels: Pixels, boxes: list[Box]) -> bytes:
    """Return the picture with its boxes, and in words how far down the page they are."""
    for box in boxes:
        _mark(pixels, box)
    if not boxes:
        return to_png(pixels)
    height = max(1, pixels.shape[0])
    top, bottom = min(box[1] for box in boxes) / height, max(box[3] for box in boxes) / height
    return to_png(pixels, ((MARK_ENTRY, f"{top:.4f} {bottom:.4f}".encode()),))


def _mark(pixels: Pixels, box: Box) -> None:
    """Colour a box as a marker pen does, and draw its edge."""
    height, width = pixels.shape[:2]
    left, top = max(0, box[0] - PADDING), max(0, box[1] - PADDING)
    right, bottom = min(width, box[2] + PADDING), min(height, box[3] + PADDING)
    if right <= left or bottom <= top:
        return
    area = pixels[top:bottom, left:right]
    area[...] = (area.astype(np.uint16) * MARK // 255).astype(np.uint8)
    pixels[top : top + EDGE_PIXELS, left:right] = EDGE
    pixels[bottom - EDGE_PIXELS : bottom, left:right] = EDGE
    pixels[top:bottom, left : left + EDGE_PIXELS] = EDGE
    pixels[top:bottom, right - EDGE_PIXELS : right] = EDGE


def _open_image(source: Source) -> Any:
    Image.MAX_IMAGE_PIXELS = None  # our own limit below, said in our own words
    source.file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BufferedReader(source.file), formats=FORMATS)  # type: ignore[type-var]
    except (OSError, SyntaxError, ValueError) as error:
        raise refusals.damaged(source.name, "its picture is damaged") from error
    width, height = image.size
    if width * height > limits.MAX_PICTURE_PIXELS:
        raise refusals.too_large(
            source.name,
            f"it has {width:,} × {height:,} pixels;"
            f" the limit is {limits.MAX_PICTURE_PIXELS // 1_000_000} million",
            "Make it smaller and add that.",
        )
    return image
