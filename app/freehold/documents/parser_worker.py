"""The parser process: reads one file, given as standard input, and ends.

    python -I -m freehold.documents.parser_worker NAME [TASK]

It answers on standard output with lines of JSON, the last of which is the result. Before anything
of the file is looked at it gives up what a parser does not need: memory beyond 1 GB, processor
time, writing files, starting programs, the network. TASK is JSON, one of `values.Task`; without
one the file's text is read.
"""

from __future__ import annotations

import importlib
import os
import resource
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec

from freehold.documents import kinds, limits, refusals
from freehold.documents.composer import Source
from freehold.documents.confinement import confine
from freehold.documents.values import (
    Boxed,
    Kind,
    Parsed,
    ParsedDocument,
    ParserMessage,
    Pictured,
    PictureTask,
    Progress,
    Refused,
    Task,
)
from freehold.errors import AppError, internal

# Reader by kind: module below `readers`, function.
READERS: Final[dict[Kind, tuple[str, str]]] = {
    "pdf": ("pdf", "read"),
    "docx": ("word", "read"),
    "pptx": ("slides", "read"),
    "xlsx": ("sheets", "read_xlsx"),
    "csv": ("sheets", "read_csv"),
    "odt": ("opendocument", "read_odt"),
    "ods": ("opendocument", "read_ods"),
    "odp": ("opendocument", "read_odp"),
    "html": ("web", "read_html"),
    "epub": ("web", "read_epub"),
    "eml": ("web", "read_mail"),
    "markdown": ("plain", "read_markdown"),
    "text": ("plain", "read_plain"),
    "code": ("plain", "read_code"),
    "image": ("pictures", "read_image"),
}
PROGRESS_STEP: Final = 20


def main() -> int:
    """Read the file and answer; the exit status is 0 whenever there is an answer."""
    name = sys.argv[1]
    task = msgspec.json.decode(sys.argv[2], type=Task) if len(sys.argv) > 2 else None
    size = os.fstat(0).st_size
    source = Source(os.fdopen(0, "rb", closefd=False), name, size, _report)
    _say(_answer(source, task))
    return 0


def _answer(source: Source, task: Task | None) -> ParserMessage:
    try:
        kind = kinds.detect(source.file, source.name)
        module, function = READERS[kind]
        # Its libraries are loaded before the door closes, the file is parsed after.
        reader = importlib.import_module(f"freehold.documents.readers.{module}")
        pictures = importlib.import_module("freehold.documents.readers.pictures") if task else None
        confine()
        if task is not None:
            return _look(source, kind, task, reader, pictures)
        read: Callable[[Source], ParsedDocument] = getattr(reader, function)
        return Parsed(read(source))
    except AppError as error:
        return Refused(error.to_dict())
    except MemoryError:
        return Refused(
            refusals.too_large(source.name, "reading it takes more than 1 GB of memory").to_dict()
        )
    except ImportError:  # the installation's fault, not the file's
        return Refused(
            AppError(
                "internal",
                f"A library that reads files like “{source.name}” is missing.",
                "Run `freehold doctor`, then install Freehold again.",
            ).to_dict()
        )
    except RecursionError:
        return Refused(refusals.damaged(source.name, "its parts are nested too deep").to_dict())
    except Exception as error:  # noqa: BLE001 - the edge of the process: one file's failure
        if task is not None:
            return Refused(internal().to_dict())
        reason = f"its content is not what its format says ({type(error).__name__})"
        return Refused(refusals.damaged(source.name, reason).to_dict())


def _look(source: Source, kind: Kind, task: Task, reader: Any, pictures: Any) -> ParserMessage:
    """Return what was asked about one page."""
    if kind == "image" and isinstance(task, PictureTask):
        return Pictured(pictures.draw_image(source, task))
    if kind != "pdf":
        raise AppError(
            "invalid_request", "Only PDF files and pictures have pages.", "Ask for the text."
        )
    if isinstance(task, PictureTask):
        return Pictured(pictures.draw_page(source, task))
    return Boxed(reader.read_boxes(source, task.page))


def _report(done: int, total: int) -> None:
    if done % PROGRESS_STEP and done != total:
        return
    earned = limits.PARSER_CPU_S + int(done * limits.PARSER_CPU_A_PAGE_S)
    most = limits.PARSER_CPU_MOST_S
    resource.setrlimit(resource.RLIMIT_CPU, (min(earned, most), most))
    _say(Progress(done, total))


def _say(message: ParserMessage) -> None:
    data = memoryview(msgspec.json.encode(message) + b"\n")
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    sys.exit(main())
