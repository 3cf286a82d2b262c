"""The emit thread: turns what the decode thread hands over into frames for the server."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from freehold.engine.job import Ended, Handover, Job, Place, Progress, TokenOut
from freehold.engine.pipe import FrameWriter
from freehold.engine.protocol import Done, Failed, PrefillProgress, Queued, Steps, WorkerMessage
from freehold.engine.requests import WireError
from freehold.engine.sequences import FinishReason

log = logging.getLogger(__name__)

MERGE_S: Final = 0.012  # deltas of so long a time travel together
FULL_PIPE_S: Final = 0.005
BEAT_S: Final = 1.0
PROGRESS_S: Final = 0.25


class Emitter:
    """Sends messages and deltas; never makes another thread wait for the pipe.

    is_busy: whether signs of life are due; beat: called once a second then, to give them.
    steps: the work not told yet; told before a request's end, which settles its energy.
    stop: called when a job's text ran into a stop string, to end its generation.
    """

    def __init__(
        self,
        writer: FrameWriter,
        *,
        is_busy: Callable[[], bool],
        beat: Callable[[], tuple[WorkerMessage, ...]],
        steps: Callable[[], Steps | None],
        stop: Callable[[Job], None],
    ) -> None:
        self._writer = writer
        self._is_busy = is_busy
        self._beat = beat
        self._steps = steps
        self._stop = stop
        self._outbox: deque[WorkerMessage] = deque()
        self.handover: Handover = deque()
        self._wake = threading.Event()
        self._dirty: dict[Job, None] = {}
        self._endings: dict[Job, tuple[FinishReason, WireError | None]] = {}
        self._progress: dict[Job, int] = {}
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="emit", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send(self, message: WorkerMessage) -> None:
        """Queue a message; from any thread."""
        self._outbox.append(message)
        self._wake.set()

    def wake(self) -> None:
        """Tell that something was handed over."""
        if not self._wake.is_set():
            self._wake.set()

    def close(self, limit_s: float) -> None:
        """Send what is left and end the thread, within a limit."""
        self._is_closing = True
        self._wake.set()
        self._thread.join(limit_s)

    # --- the thread

    def _run(self) -> None:
        try:
            self._loop()
        except BrokenPipeError:
            os._exit(0)  # the server is gone; nobody is left to answer
        except Exception:
            log.exception("the emit thread failed")
            os._exit(70)

    def _loop(self) -> None:
        next_beat_s = time.monotonic() + BEAT_S
        while True:
            is_busy = self._is_busy()
            self._wake.wait(max(0.0, next_beat_s - time.monotonic()) if is_busy else None)
            self._wake.clear()
            now = time.monotonic()
            if now >= next_beat_s:
                if self._is_busy():
                    self._outbox.extend(self._beat())
                next_beat_s = now + BEAT_S
            self._take_handover()
            while not self._flush():
                self._writer.wait(FULL_PIPE_S)
                self._take_handover()
            if self._is_closing and not (self._outbox or self.handover):
                return
            if self._progress or self._dirty:
                self._wake.set()
            # What comes meanwhile travels in one frame; a token that comes alone went at once.
            time.sleep(MERGE_S)

    def _take_handover(self) -> None:
        handover = self.handover
        while handover:
            record = handover.popleft()
            if type(record) is list:
                for token in record:
                    self._take_token(token)
            elif type(record) is Progress:
                self._progress[record.job] = record.done
            elif type(record) is Place:
                self._outbox.append(
                    Queued(id=record.job.id, ahead=record.ahead, waiting=record.waiting)
                )
            elif type(record) is Ended:
                self._end(record.job, record.end, record.error)

    def _take_token(self, token: TokenOut) -> None:
        job = token.job
        if token.piece and job.output.add(token.piece, token.logprob) and token.end is None:
            self._stop(job)
        self._dirty[job] = None
        if token.end is not None:
            self._end(job, token.end, None)

    def _end(self, job: Job, reason: FinishReason, error: WireError | None) -> None:
        self._endings[job] = (reason, error)
        self._dirty[job] = None

    def _flush(self) -> bool:
        """Write a frame of all there is; return whether the pipe took it all."""
        if not self._writer.is_clear:
            self._writer.push()
            if not self._writer.is_clear:
                return False
        messages: list[WorkerMessage] = []
        while self._outbox:
            messages.append(self._outbox.popleft())
        messages += self._due_progress()
        if self._endings and (told := self._steps()) is not None:
            messages.append(told)
        for job in list(self._dirty):
            ending = self._endings.pop(job, None)
            if ending is not None:
                job.output.finish()
            delta = job.output.take(job.id)
            if delta is not None:
                messages.append(delta)
            if ending is not None:
                messages.append(_last_message(job, *ending))
                job.output.close()
                self._progress.pop(job, None)
            if ending is not None or not job.output.has_unparsed:
                del self._dirty[job]
        if messages:
            self._writer.write(messages)
        return self._writer.is_clear

    def _due_progress(self) -> list[WorkerMessage]:
        now = time.monotonic()
        due: list[WorkerMessage] = []
        for job, done in list(self._progress.items()):
            total = job.sequence.prompt_count
            if now - job.told_progress_s >= PROGRESS_S:
                job.told_progress_s = now
                due.append(PrefillProgress(id=job.id, done=min(done, total), total=total))
            elif done < total:
                continue
            del self._progress[job]
        return due


def _last_message(job: Job, reason: FinishReason, error: WireError | None) -> WorkerMessage:
    if error is not None:
        return Failed(id=job.id, error=error, usage=job.usage())
    if reason in ("stop", "length") and job.output.stop_text is not None:
        reason = "stop"
    if reason == "stop" and job.output.saw_tool_call:
        reason = "tool_calls"
    return Done(
        id=job.id,
        finish_reason=reason,
        usage=job.usage(),
        timings=job.timings(),
        stop_text=job.output.stop_text,
    )
