"""Reading a file in a process of its own: whatever happens in there is one error for one file."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from freehold.documents import limits, refusals
from freehold.documents.names import shown_name, turns_text
from freehold.documents.values import (
    Boxed,
    BoxesTask,
    PageBoxes,
    Parsed,
    ParsedDocument,
    ParserMessage,
    Pictured,
    PictureTask,
    Progress,
    Refused,
    Task,
)
from freehold.errors import AppError
from freehold.units import format_bytes

CHUNK_BYTES: Final = 1 << 20
LOOK_S: Final = 0.2
_decode: Final[msgspec.json.Decoder[ParserMessage]] = msgspec.json.Decoder(ParserMessage)

Tell = Callable[[int, int], None]


def parse_file(
    path: Path,
    *,
    name: str | None = None,
    tell: Tell | None = None,
    is_wanted: Callable[[], bool] = lambda: True,
) -> ParsedDocument:
    """Return a file's text; blocks while another process reads it.

    name: what to call it, when `path` is a copy. tell: hears of pages read and their number.
    is_wanted: asked now and then; False ends the parser.
    Raises: AppError naming the file; nothing a file holds raises anything else.
    """
    raw_name = name or path.name
    shown = shown_name(raw_name)
    message = _run(path, shown, None, tell, is_wanted)
    if not isinstance(message, Parsed):
        raise refusals.damaged(shown, "its parser gave no text")
    document = message.document
    if turns_text(raw_name):
        note = "Its name holds characters that turn text around; it is shown without them."
        document = msgspec.structs.replace(document, notes=(*document.notes, note))
    return document


def page_boxes(path: Path, page: int, *, name: str | None = None) -> PageBoxes:
    """Return where the characters of a PDF's page stand; blocks while another process reads it.

    Raises: AppError.
    """
    shown = shown_name(name or path.name)
    message = _run(path, shown, BoxesTask(page), None, lambda: True)
    if not isinstance(message, Boxed):
        raise refusals.damaged(shown, "its parser gave no boxes")
    return message.page


def draw_page(path: Path, task: PictureTask, *, name: str | None = None) -> bytes:
    """Return a picture (PNG) of a page; blocks while another process draws it.

    Raises: AppError.
    """
    shown = shown_name(name or path.name)
    message = _run(path, shown, task, None, lambda: True)
    if not isinstance(message, Pictured):
        raise refusals.damaged(shown, "its parser gave no picture")
    return message.png


def _run(
    path: Path,
    name: str,
    task: Task | None,
    tell: Tell | None,
    is_wanted: Callable[[], bool],
) -> ParserMessage:
    with contextlib.ExitStack() as stack:
        handle = open_plain(path, name)
        stack.callback(os.close, handle)
        arguments = [] if task is None else [msgspec.json.encode(task).decode()]
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "freehold.documents.parser_worker", name, *arguments],
            stdin=handle,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )
        stack.callback(_end, process)
        assert process.stdout is not None
        last = _follow(process.stdout.fileno(), name, tell, is_wanted)
        process.wait(timeout=limits.PARSER_SILENCE_S)
    match last:
        case Refused(error):
            raise AppError.from_dict(error)
        case Parsed() | Boxed() | Pictured():
            return last
        case _:
            raise _death(process.returncode, name)


def open_plain(path: Path, name: str) -> int:
    """Open a plain file within the size limit; devices, pipes and folders are refused.

    Raises: AppError `not_found`, `no_permission`, `unsupported_media_type`, `payload_too_large`.
    """
    try:
        # Opening a pipe without this would wait for its writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise AppError("not_found", f"There is no file “{name}”.", "Look at its path.") from error
    except OSError as error:
        raise AppError(
            "no_permission",
            f"“{name}” cannot be opened ({error.strerror}).",
            "Look at its permissions.",
        ) from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise refusals.unsupported(name, "not a plain file", "Add the files themselves.")
        if status.st_size > limits.MAX_FILE_BYTES:
            raise refusals.too_large(
                name,
                f"{format_bytes(status.st_size)};"
                f" the limit is {format_bytes(limits.MAX_FILE_BYTES)} a file",
            )
    except BaseException:
        os.close(handle)
        raise
    return handle


def _follow(
    pipe: int, name: str, tell: Tell | None, is_wanted: Callable[[], bool]
) -> ParserMessage | None:
    """Read lines until the pipe ends; return the last message, None when there was none."""
    pending: list[bytes] = []
    received = 0
    last: ParserMessage | None = None
    heard = time.monotonic()
    while True:
        if not is_wanted():
            raise AppError("cancelled", f"Reading “{name}” was ended.", "Add it again.")
        left_s = heard + limits.PARSER_SILENCE_S - time.monotonic()
        if left_s > 0 and not select.select([pipe], [], [], min(left_s, LOOK_S))[0]:
            continue
        if left_s <= 0:
            raise refusals.damaged(
                name, f"nothing came of reading it for {limits.PARSER_SILENCE_S:.0f} seconds"
            )
        chunk = os.read(pipe, CHUNK_BYTES)
        if not chunk:
            return last
        heard = time.monotonic()
        received += len(chunk)
        if received > limits.MAX_OUTPUT_BYTES:
            raise refusals.too_large(
                name, f"its text takes more than {format_bytes(limits.MAX_OUTPUT_BYTES)}"
            )
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            pending.append(line)
            last = _message(b"".join(pending), name)
            pending.clear()
            if isinstance(last, Progress) and tell is not None:
                tell(last.done, last.total)
        pending.append(rest)


def _message(line: bytes, name: str) -> ParserMessage:
    try:
        return _decode.decode(line)
    except msgspec.DecodeError as error:
        raise refusals.damaged(name, "its parser answered nonsense") from error


def _death(status: int, name: str) -> AppError:
    if status == -signal.SIGXCPU:
        return refusals.damaged(
            name, f"reading it took more than {limits.PARSER_CPU_S} seconds of processor time"
        )
    if status == -signal.SIGKILL:
        return refusals.damaged(name, "the program that reads it was ended by the system")
    reason = signal.Signals(-status).name if status < 0 else f"status {status}"
    return refusals.damaged(name, f"the program that reads it crashed ({reason})")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is None:
        process.kill()
    process.wait()
