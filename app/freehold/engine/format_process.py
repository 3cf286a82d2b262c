"""Own the format worker: start it warm, bound each request in time, kill and restart it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from freehold.engine import format_worker
from freehold.engine.format_worker import FAILED, GBNF, HEADER, OPEN, SCHEMA
from freehold.engine.native import library_folder, native_error, raise_native
from freehold.errors import AppError

REQUEST_WAIT_S = 2.0
START_WAIT_S = 20.0  # Python and the libraries come from disk, perhaps on a busy machine
MAX_ANSWER_BYTES = 16 * 1024**2


class Budget:
    """The time one request may take in all."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s
        self._deadline = time.monotonic() + wait_s

    def wait(self, pipe: int, event: int) -> None:
        """Wait until a pipe is ready.

        Raises: TimeoutError.
        """
        poll = select.poll()
        poll.register(pipe, event)
        left_s = self._deadline - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise TimeoutError


class _WorkerDiedError(Exception):
    """The worker ended in the midst of a request; says how."""


def _code(kind: bytes) -> str:
    return "invalid_grammar" if kind in (SCHEMA, GBNF) else "invalid_template"


class FormatProcess:
    """One worker process with one template open; thread-safe, one request at a time."""

    def __init__(self, template: str, bos_text: str, eos_text: str) -> None:
        """Keep the template; the process starts with the first request."""
        self._opening = json.dumps([template, bos_text, eos_text]).encode()
        self._process: subprocess.Popen[bytes] | None = None
        self._opened = False
        self._closed = False
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Return the worker's process id while it runs."""
        return self._process.pid if self._process else None

    def ask(self, kind: bytes, payload: bytes, more_s: float = 0.0) -> bytes:
        """Return the worker's answer to one request, given two seconds and `more_s`.

        Raises: AppError `invalid_template` or `invalid_grammar` when the worker refuses, crashes
            or takes too long; `invalid_request`.
        """
        with self._lock:
            if self._closed:
                raise ValueError("the format process is closed")
            was_running = self._process is not None
            try:
                return self._ask_once(kind, payload, more_s)
            except _WorkerDiedError as error:
                if not was_running:
                    raise native_error(_code(kind), str(error)) from None
            # It may have been dying before it was asked: only a fresh one's death tells.
            try:
                return self._ask_once(kind, payload, more_s)
            except _WorkerDiedError as error:
                raise native_error(_code(kind), str(error)) from None

    def _ask_once(self, kind: bytes, payload: bytes, more_s: float) -> bytes:
        self._start()
        budget = Budget(REQUEST_WAIT_S + more_s)
        if kind not in (SCHEMA, GBNF) and not self._opened:
            self._exchange(OPEN, self._opening, budget)
            self._opened = True
        return self._exchange(kind, payload, budget)

    def warm(self) -> None:
        """Start the worker now, so that the first request is fast."""
        with self._lock:
            if not self._closed:
                self._start()

    def close(self) -> None:
        """End the worker; may be called twice."""
        with self._lock:
            self._closed = True
            self._kill()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._kill()
        environment = {}
        if "LD_LIBRARY_PATH" in os.environ:  # where a CUDA build may find its libraries
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        script = Path(format_worker.__file__)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", script, library_folder()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        os.set_blocking(self._process.stdout.fileno(), False)
        # A grammar no request can fail on: the answer says that the worker is up.
        try:
            self._exchange(GBNF, b'root ::= "a"', Budget(START_WAIT_S))
        except (AppError, _WorkerDiedError) as error:
            raise native_error("internal", f"its worker does not start ({error})") from error

    def _exchange(self, kind: bytes, payload: bytes, budget: Budget) -> bytes:
        code = _code(kind)
        try:
            self._write(HEADER.pack(kind, len(payload)) + payload, budget)
            status, size = HEADER.unpack(self._read(HEADER.size, budget))
            if size > MAX_ANSWER_BYTES:
                raise native_error(code, "what came out of it is too large")
            answer = self._read(size, budget)
        except TimeoutError:
            self._kill()
            raise native_error(code, f"it took longer than {budget.wait_s:.1f} s") from None
        except (EOFError, BrokenPipeError, ConnectionError):
            raise _WorkerDiedError(self._cause_of_death()) from None
        except BaseException:
            self._kill()  # half an answer may be left in the pipe
            raise
        if status == FAILED:
            raise_native(answer)
        return answer

    def _write(self, data: bytes, budget: Budget) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        pipe = self._process.stdin.fileno()
        view = memoryview(data)
        while view:
            budget.wait(pipe, select.POLLOUT)
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(pipe, view[: 64 * 1024]) :]

    def _read(self, size: int, budget: Budget) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        chunks = []
        while size > 0:
            budget.wait(pipe, select.POLLIN)
            try:
                chunk = os.read(pipe, min(size, 1024**2))
            except BlockingIOError:
                continue
            if not chunk:
                raise EOFError
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def _cause_of_death(self) -> str:
        process = self._process
        self._kill()
        status = process.returncode if process is not None else None
        if status is None or status >= 0:
            return "the format worker ended"
        if -status == signal.SIGXCPU:
            return "it took too much processor time"
        return f"it crashed the format worker ({signal.Signals(-status).name})"

    def _kill(self) -> None:
        process, self._process = self._process, None
        self._opened = False
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        if process.poll() is None:
            # One that is ending by itself keeps its own cause of death for a moment.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
            process.kill()
        process.wait()
