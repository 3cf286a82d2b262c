"""The parser process: reads one file, given as standard input, and ends.

    python -I -m freehold.documents.parser_worker NAME [PAGE]

It answers on standard output with lines of JSON, the last of which is the result. Before anything
of the file is looked at it gives up what a parser does not need: memory beyond 1 GB, processor
time, writing files, starting programs, the network.
"""

from __future__ import annotations

import importlib
import os
import resource
import sys
from collections.abc import Callable
from typing import Final

import msgspec

from freehold.documents import kinds, limits, refusals
from freehold.documents.composer import Source
from freehold.documents.values import (
    Boxed,
    Kind,
    Parsed,
    ParsedDocument,
    ParserMessage,
    Progress,
    Refused,
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
}
FORBIDDEN: Final = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.truncate",
    "os.chmod",
    "os.link",
    "os.symlink",
    "shutil.",
    "ftplib.",
    "http.client",
    "smtplib.",
    "urllib.Request",
)
PROGRESS_STEP: Final = 20


def main() -> int:
    """Read the file and answer; the exit status is 0 whenever there is an answer."""
    name = sys.argv[1]
    page = int(sys.argv[2]) if len(sys.argv) > 2 else None
    size = os.fstat(0).st_size
    source = Source(os.fdopen(0, "rb", closefd=False), name, size, _report)
    _say(_answer(source, page))
    return 0


def _answer(source: Source, page: int | None) -> ParserMessage:
    try:
        kind = kinds.detect(source.file, source.name)
        module, function = READERS[kind]
        # Its libraries are loaded before the door closes, the file is parsed after.
        reader = importlib.import_module(f"freehold.documents.readers.{module}")
        confine()
        if page is not None:
            if kind != "pdf":
                raise AppError(
                    "invalid_request", "Only pages of PDF files have boxes.", "Ask for the text."
                )
            return Boxed(reader.read_boxes(source, page))
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
        if page is not None:
            return Refused(internal().to_dict())
        reason = f"its content is not what its format says ({type(error).__name__})"
        return Refused(refusals.damaged(source.name, reason).to_dict())


def confine() -> None:
    """Give up what parsing does not need, for good."""
    memory = limits.PARSER_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # pipes are no files
    resource.setrlimit(resource.RLIMIT_CPU, (limits.PARSER_CPU_S, limits.PARSER_CPU_MOST_S))
    sys.addaudithook(_forbid)


def _forbid(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith(FORBIDDEN):
        raise PermissionError(f"a parser may not do {event}")
    if event == "open" and len(arguments) > 2:
        flags = arguments[2]
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise PermissionError("a parser may not write files")


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
