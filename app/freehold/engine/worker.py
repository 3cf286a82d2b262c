"""The engine worker: `python -m freehold.engine.worker`, one process for one loaded model.

Frames go over what were standard input and output; native code that prints goes to stderr, which
the server keeps as the worker's last words. Ending the process is how a model is unloaded.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

import psutil

from freehold.engine.emitter import Emitter
from freehold.engine.job import Job, wire_error
from freehold.engine.pipe import FrameError, FrameWriter, read_server_messages
from freehold.engine.protocol import (
    PROTOCOL_VERSION,
    Cancel,
    Command,
    Embed,
    EngineStats,
    Generate,
    GetStats,
    Hello,
    Load,
    Loaded,
    LoadFailed,
    LoadProgress,
    Shutdown,
    Steps,
    Tokenize,
    WorkerMessage,
)
from freehold.engine.requests import LoadOptions
from freehold.errors import AppError, internal

if TYPE_CHECKING:
    from freehold.engine.decode_loop import DecodeLoop
    from freehold.engine.preparation import Preparation

log = logging.getLogger(__name__)

SWITCH_INTERVAL_S: Final = 0.0002  # the decode thread must not wait 5 ms to go on after a step
PROGRESS_S: Final = 0.25
LAST_WORDS_S: Final = 1.0
_PR_SET_PDEATHSIG: Final = 1


class Worker:
    """Reads commands on the main thread and owns the other threads."""

    def __init__(self, read_from: int, write_to: int) -> None:
        self._read_from = read_from
        self._emitter = Emitter(
            FrameWriter(write_to),
            is_busy=self._is_busy,
            beat=self._beat,
            steps=self._steps,
            stop=self._stop,
        )
        self._loop: DecodeLoop | None = None
        self._preparation: Preparation | None = None
        self._progress: float | None = None
        self._progress_told_s = 0.0
        self._process = psutil.Process()
        self._counted = (0.0, 0, 0)

    def run(self) -> int:
        """Serve until the server says so or closes its end."""
        self._emitter.start()
        self._emitter.send(Hello(protocol=PROTOCOL_VERSION, pid=os.getpid()))
        try:
            for command in read_server_messages(self._read_from):
                if isinstance(command, Shutdown):
                    break
                self._handle(command)
        except FrameError as error:
            log.error("the server's message cannot be read: %s", error)
            return 2
        finally:
            if self._loop is not None:
                self._loop.interrupt()
            if self._preparation is not None:
                self._preparation.formats.close()
        return 0

    def _handle(self, command: Command) -> None:
        if isinstance(command, Load):
            # On a thread of its own, so that Shutdown is read while weights are.
            threading.Thread(
                target=self._load, args=(command.options,), name="load", daemon=True
            ).start()
        elif isinstance(command, Generate | Embed | Tokenize):
            assert self._preparation is not None, "asked before the model was loaded"
            self._preparation.put(command)
        elif isinstance(command, Cancel):
            self._cancel(command.id)
        elif isinstance(command, GetStats):
            self._emitter.send(self._stats())

    def _cancel(self, request_id: str) -> None:
        if self._preparation is not None and self._preparation.cancel(request_id):
            return
        if self._loop is not None:
            self._loop.end(request_id, "cancelled")

    def _stop(self, job: Job) -> None:
        assert self._loop is not None
        self._loop.end(job.id, "stop")

    # --- loading

    def _load(self, options: LoadOptions) -> None:
        try:
            self._progress = 0.0
            self._emitter.wake()  # so that signs of life begin now
            loaded = self._build(options)
        except AppError as error:
            self._fail(error)
            return
        except Exception:
            log.exception("loading failed")
            self._fail(internal())
            return
        finally:
            self._progress = None
        self._emitter.send(loaded)

    def _fail(self, error: AppError) -> None:
        self._emitter.send(LoadFailed(error=wire_error(error)))
        self._emitter.close(LAST_WORDS_S)
        os._exit(1)

    def _build(self, options: LoadOptions) -> Loaded:
        # Imported here so that the first message leaves before libllama is opened.
        from freehold.engine.loading import build_engine

        engine = build_engine(options, self._emitter, self._tell_progress)
        self._loop, self._preparation = engine.loop, engine.preparation
        engine.loop.start()
        return Loaded(info=engine.info)

    def _tell_progress(self, fraction: float) -> bool:
        self._progress = fraction
        now = time.monotonic()
        if now - self._progress_told_s >= PROGRESS_S or fraction >= 1:
            self._progress_told_s = now
            self._emitter.send(LoadProgress(fraction=fraction))
        return True

    # --- life signs

    def _is_busy(self) -> bool:
        return self._progress is not None or (self._loop is not None and self._loop.is_busy)

    def _beat(self) -> tuple[WorkerMessage, ...]:
        progress = self._progress
        if progress is not None:
            return (LoadProgress(fraction=progress),)
        if self._loop is not None and self._loop.is_busy:
            return self._stats(), self._loop.step_log.take()
        return ()

    def _steps(self) -> Steps | None:
        return None if self._loop is None else self._loop.step_log.take()

    def _stats(self) -> EngineStats:
        loop = self._loop
        if loop is None:
            return EngineStats(
                running=0,
                waiting=0,
                cells_used=0,
                cells_total=0,
                decode_tokens_per_s=0.0,
                prefill_tokens_per_s=0.0,
                tokens_generated=0,
                prompt_tokens=0,
                cached_prompt_tokens=0,
                steps=0,
                resident_bytes=self._process.memory_info().rss,
            )
        now = time.monotonic()
        then, generated, prompts = self._counted
        span = now - then
        if span >= 0.5:
            self._counted = (now, loop.tokens_generated, loop.prompt_tokens)
        scheduler = loop.scheduler
        return EngineStats(
            running=scheduler.running_count,
            waiting=scheduler.waiting_count,
            cells_used=scheduler.cells.total - scheduler.cells.free,
            cells_total=scheduler.cells.total,
            decode_tokens_per_s=(loop.tokens_generated - generated) / span,
            prefill_tokens_per_s=(loop.prompt_tokens - prompts) / span,
            tokens_generated=loop.tokens_generated,
            prompt_tokens=loop.prompt_tokens,
            cached_prompt_tokens=loop.cached_tokens,
            steps=loop.steps,
            resident_bytes=self._process.memory_info().rss,
        )


def main() -> int:
    """Set the process up and serve."""
    parent = os.getppid()
    _die_with_parent(parent)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    read_from, write_to = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    status = Worker(read_from, write_to).run()
    sys.stderr.flush()
    # Not a clean exit on purpose: other threads may be deep in native code.
    os._exit(status)


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)


if __name__ == "__main__":
    main()
