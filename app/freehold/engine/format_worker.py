"""The killable child that applies chat templates and reads grammars; see `format_process`.

Started as a script without `site`: `python -I -S format_worker.py LIBRARY_FOLDER`.
It loads no model. Requests and answers are frames: one byte (what is asked, or how it went), four
bytes of length, little-endian, and the payload.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

HEADER = struct.Struct("<cI")
OPEN, DESCRIBE, APPLY, SCHEMA, GBNF = b"O", b"D", b"A", b"S", b"G"
OK, FAILED = b"+", b"-"
CPU_SECONDS = 15  # more than the parent waits; it is the parent that watches the clock
GROWTH_BYTES = 512 * 1024**2
# What this passes with a small stack passes in the engine's threads with a large one.
CHECK_STACK_BYTES = 1024**2


def read_frame(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """Return the next request, None at the end of the stream."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    kind, size = HEADER.unpack(header)
    payload = stream.read(size)
    return (kind, payload) if len(payload) == size else None


def leave_with_parent() -> None:
    """End this process as soon as the parent's end of the request pipe closes.

    Not by PR_SET_PDEATHSIG: that fires when the *thread* that started this process ends, and the
    parent starts it from whichever thread needs it. A call into the library lets this thread run,
    so a template that loops does not keep the process alive either.
    """
    hang_up = select.poll()
    hang_up.register(sys.stdin.fileno(), 0)
    hang_up.poll()
    os._exit(0)


def limit_resources() -> None:
    """Bound memory to what is mapped now and some more, and forbid files and core dumps."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    ceiling = pages * resource.getpagesize() + GROWTH_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def grant_cpu_time() -> None:
    """Let the next request use `CPU_SECONDS` more; SIGXCPU ends the process after that."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (used + 1 + CPU_SECONDS, hard))


class Formats:
    """The library's functions as requests."""

    def __init__(self, library: ctypes.CDLL, take: Callable[..., bytes]) -> None:
        self._library = library
        self._take = take
        self._templates = ctypes.c_void_p()

    def answer(self, kind: bytes, payload: bytes) -> tuple[bytes, bytes]:
        """Return how a request went and what came out."""
        out = ctypes.c_void_p()
        if kind == OPEN:
            status = self._open(payload, out)
        elif kind == DESCRIBE:
            status = self._library.fh_templates_describe(self._templates, ctypes.byref(out))
        elif kind == APPLY:
            status = self._library.fh_templates_apply(self._templates, payload, ctypes.byref(out))
        elif kind == SCHEMA:
            status = self._library.fh_grammar_from_schema(payload, ctypes.byref(out))
            if not status:
                grammar = self._take(self._library, out)
                return self._check(grammar)
        else:
            return self._check(payload)
        return FAILED if status else OK, self._take(self._library, out)

    def _open(self, payload: bytes, out: ctypes.c_void_p) -> int:
        self._library.fh_templates_free(self._templates)
        self._templates = ctypes.c_void_p()
        texts = [str(text).encode() for text in json.loads(payload)]
        status: int = self._library.fh_templates_new(
            *texts, ctypes.byref(self._templates), ctypes.byref(out)
        )
        return status

    def _check(self, grammar: bytes) -> tuple[bytes, bytes]:
        """Read a grammar on a small stack, so that a deep one ends this process only."""
        answers: list[tuple[bytes, bytes]] = []

        def check() -> None:
            out = ctypes.c_void_p()
            failed = self._library.fh_grammar_check(grammar, ctypes.byref(out))
            answers.append((FAILED, self._take(self._library, out)) if failed else (OK, grammar))

        thread = threading.Thread(target=check)
        thread.start()
        thread.join()
        return answers[0]


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    threading.Thread(target=leave_with_parent, daemon=True).start()
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from freehold.engine.native import open_library, take_text

    formats = Formats(open_library(Path(sys.argv[1])), take_text)
    threading.stack_size(CHECK_STACK_BYTES)
    limit_resources()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while (frame := read_frame(requests)) is not None:
        grant_cpu_time()
        status, payload = formats.answer(*frame)
        answers.write(HEADER.pack(status, len(payload)) + payload)
        answers.flush()


if __name__ == "__main__":
    main()
