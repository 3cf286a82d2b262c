"""`Engine` over a worker process: starts it, routes its events, notices when it dies or hangs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from freehold.engine.mailbox import Mailbox
from freehold.engine.model_file import check_file
from freehold.engine.pipe import encode_frame
from freehold.engine.protocol import (
    PROTOCOL_VERSION,
    Cancel,
    Delta,
    Done,
    Embed,
    Embedded,
    EngineStats,
    Failed,
    Generate,
    GenerateEvent,
    GetStats,
    Hello,
    Load,
    Loaded,
    LoadFailed,
    LoadProgress,
    PrefillProgress,
    Queued,
    ServerMessage,
    Steps,
    Tokenize,
    Tokenized,
    WorkerMessage,
)
from freehold.engine.requests import ChatPrompt, GenerateRequest, LoadOptions, ModelInfo, WireError
from freehold.engine.worker_pipes import WorkerPipes
from freehold.errors import AppError

STALL_S: Final = 20.0  # the worker shows a life sign once a second
TERM_S: Final = 0.5
REAP_S: Final = 2.0
POLL_S: Final = 0.005

# What of the server's environment a worker may see: no keys, no tokens.
_KEPT_VARIABLES: Final = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH"),
    # Where a GPU pack lies, and which of its kernels are wanted.
    *("FREEHOLD_DATA", "XDG_DATA_HOME", "FREEHOLD_GPU_PACK", "FREEHOLD_MOE"),
)
_KEPT_PREFIXES: Final = ("CUDA_", "NVIDIA_", "GGML_", "LLAMA_", "OMP_", "GOMP_", "HIP_", "VK_")


class ProcessEngine:
    """One loaded model in a child process; see `interface.Engine`."""

    def __init__(self, *, stall_s: float = STALL_S) -> None:
        self._stall_s = stall_s
        self.on_steps: Callable[[Steps], None] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pipes: WorkerPipes | None = None
        self._loading: asyncio.Future[ModelInfo] | None = None
        self._on_progress: Callable[[float], None] | None = None
        self._mailboxes: dict[str, Mailbox] = {}
        self._answers: dict[str, asyncio.Future[Embedded | Tokenized]] = {}
        self._stats_waiters: list[asyncio.Future[EngineStats]] = []
        self._failure: AppError | None = None
        self._has_stalled = False
        self._is_closing = False
        self._gone = asyncio.Event()
        self._watchdog: asyncio.Task[None] | None = None
        self._burial: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Return the worker's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    # --- the Engine protocol

    async def load(
        self, options: LoadOptions, on_progress: Callable[[float], None] | None = None
    ) -> ModelInfo:
        """Start the worker and load the model; the worker is gone if this fails."""
        if self._process is not None:
            raise ValueError("an engine loads one model in its life")
        check_file(Path(options.path))
        self._on_progress = on_progress
        self._loading = asyncio.get_running_loop().create_future()
        try:
            await self._start(options.expert_kernels)
            self._send(Load(options=options))
            return await self._loading
        except BaseException:
            await self.close()
            raise

    async def generate(self, request: GenerateRequest) -> AsyncIterator[GenerateEvent]:
        """Yield events until `Done` or `Failed`; closing the iterator early cancels."""
        self._check_alive()
        if request.id in self._mailboxes:
            raise AppError("conflict", f"The request id {request.id!r} is in use.", "Use another.")
        mailbox = self._mailboxes[request.id] = Mailbox()
        is_over = False
        try:
            self._send(Generate(request=request))
            while not is_over:
                event = await mailbox.take()
                is_over = isinstance(event, Done | Failed)
                if is_over:
                    self._mailboxes.pop(request.id, None)
                yield event
        finally:
            if not is_over:
                self._mailboxes.pop(request.id, None)
                if self._failure is None:
                    self._send(Cancel(id=request.id))

    async def embed(self, inputs: tuple[str | tuple[int, ...], ...]) -> Embedded:
        """Return one normalised vector per input."""
        request_id = uuid.uuid4().hex
        answer = await self._ask(Embed(id=request_id, inputs=inputs), request_id)
        assert isinstance(answer, Embedded)
        return answer

    async def tokenize(
        self,
        *,
        text: str | None = None,
        chat: ChatPrompt | None = None,
        tokens: tuple[int, ...] | None = None,
        add_special: bool = True,
    ) -> Tokenized:
        """Return tokens of a text or of a rendered chat, or the text of tokens."""
        request_id = uuid.uuid4().hex
        command = Tokenize(
            id=request_id, text=text, chat=chat, tokens=tokens, add_special=add_special
        )
        answer = await self._ask(command, request_id)
        assert isinstance(answer, Tokenized)
        return answer

    async def cancel(self, request_id: str) -> None:
        """End a request; its generator then yields `Done` with "cancelled"."""
        if self._failure is None and request_id in self._mailboxes:
            self._send(Cancel(id=request_id))

    async def stats(self) -> EngineStats:
        """Return the worker's counters."""
        self._check_alive()
        waiter: asyncio.Future[EngineStats] = asyncio.get_running_loop().create_future()
        self._stats_waiters.append(waiter)
        self._send(GetStats())
        return await waiter

    async def close(self) -> None:
        """End the worker process for sure; requests under way fail."""
        self._is_closing = True
        process = self._process
        if process is None:
            return
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TERM_S):
                await self._gone.wait()
        if not self._gone.is_set():
            _signal_group(process, signal.SIGKILL)
            await self._gone.wait()

    # --- the process

    async def _start(self, expert_kernels: bool | None) -> None:
        environment = worker_environment(os.environ)
        if expert_kernels is not None:
            environment["FREEHOLD_MOE"] = "1" if expert_kernels else "0"
        process = subprocess.Popen(  # noqa: ASYNC220 - starting takes a few ms, waiting is async
            [sys.executable, "-P", "-m", "freehold.engine.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self._process = process
        self._pipes = WorkerPipes(self._receive, self._lost)
        await self._pipes.open(process)
        self._watch()

    def _send(self, message: ServerMessage) -> None:
        if self._pipes is not None:
            self._pipes.write(encode_frame([message]))
        self._watch()

    async def _ask(self, command: Embed | Tokenize, request_id: str) -> Embedded | Tokenized:
        self._check_alive()
        answer: asyncio.Future[Embedded | Tokenized]
        answer = self._answers[request_id] = asyncio.get_running_loop().create_future()
        try:
            self._send(command)
            return await answer
        finally:
            self._answers.pop(request_id, None)

    def _check_alive(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._process is None or (self._loading is not None and not self._loading.done()):
            raise AppError(
                "model_loading", "The model is not loaded yet.", "Wait a moment.", retryable=True
            )

    # --- what the worker says

    def _receive(self, message: WorkerMessage) -> None:
        match message:
            case Delta() | Queued() | PrefillProgress() | Done():
                mailbox = self._mailboxes.get(message.id)
                if mailbox is not None:
                    mailbox.put(message)
            case Failed():
                self._receive_failure(message)
            case Embedded() | Tokenized():
                _resolve(self._answers.get(message.id), message)
            case EngineStats():
                waiters, self._stats_waiters = self._stats_waiters, []
                for waiter in waiters:
                    _resolve(waiter, message)
            case Steps():
                if self.on_steps is not None:
                    self.on_steps(message)
            case Hello() | LoadProgress() | Loaded() | LoadFailed():
                self._receive_loading(message)

    def _receive_loading(self, message: Hello | LoadProgress | Loaded | LoadFailed) -> None:
        match message:
            case LoadProgress():
                if self._on_progress is not None:
                    self._on_progress(message.fraction)
            case Loaded():
                _resolve(self._loading, message.info)
            case LoadFailed():
                self._fail_loading(from_wire(message.error))
            case Hello():
                if message.protocol != PROTOCOL_VERSION:
                    self._fail_loading(AppError("internal", "The engine is of another version."))

    def _receive_failure(self, message: Failed) -> None:
        mailbox = self._mailboxes.get(message.id)
        if mailbox is not None:
            mailbox.put(message)
            return
        answer = self._answers.get(message.id)
        if answer is not None and not answer.done():
            answer.set_exception(from_wire(message.error))

    def _fail_loading(self, error: AppError) -> None:
        self._failure = self._failure or error
        if self._loading is not None and not self._loading.done():
            self._loading.set_exception(error)

    # --- life and death

    def _watch(self) -> None:
        """See that a watchdog runs while an answer is owed."""
        if self._pipes is not None and self._is_owing():
            self._pipes.note_heard_if_idle(self._watchdog is None or self._watchdog.done())
            if self._watchdog is None or self._watchdog.done():
                self._watchdog = asyncio.get_running_loop().create_task(self._watch_worker())

    def _is_owing(self) -> bool:
        is_loading = self._loading is not None and not self._loading.done()
        return bool(is_loading or self._mailboxes or self._answers or self._stats_waiters)

    async def _watch_worker(self) -> None:
        assert self._pipes is not None
        while self._is_owing() and not self._gone.is_set():
            silent_s = self._pipes.silent_s
            if silent_s >= self._stall_s:
                self._has_stalled = True
                assert self._process is not None
                _signal_group(self._process, signal.SIGKILL)
                return
            await asyncio.sleep(min(1.0, self._stall_s - silent_s + 0.01))

    def _lost(self) -> None:
        """Take note that the worker closed its end: it is dead or as good as."""
        self._burial = asyncio.get_running_loop().create_task(self._bury())

    async def _bury(self) -> None:
        process, pipes = self._process, self._pipes
        assert process is not None
        assert pipes is not None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + REAP_S
        while process.poll() is None:
            if loop.time() > deadline:
                process.kill()
            await asyncio.sleep(POLL_S)
        # Its helpers die with it; whatever is left in its session goes too.
        _signal_group(process, signal.SIGKILL)
        await pipes.drain_log()
        error = self._failure or self._death(process.returncode, pipes.last_words())
        self._failure = error
        self._fail_all(error)
        pipes.close()
        self._gone.set()
        if self._watchdog is not None:
            self._watchdog.cancel()

    def _fail_all(self, error: AppError) -> None:
        self._fail_loading(error)
        for mailbox in self._mailboxes.values():
            mailbox.fail(error)
        waiting: list[asyncio.Future[Embedded | Tokenized] | asyncio.Future[EngineStats]]
        waiting = [*self._answers.values(), *self._stats_waiters]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
        if self._loading is not None and self._loading.done():
            # Nobody may be waiting any more; asked for once, an exception is not reported as lost.
            with contextlib.suppress(AppError, asyncio.CancelledError):
                self._loading.exception()

    def _death(self, status: int, words: list[str]) -> AppError:
        phase = "load" if self._loading is not None and not self._loading.done() else "run"
        name = signal.Signals(-status).name if status < 0 else None
        detail = {"signal": name, "exit_status": status, "phase": phase, "log": words}
        if self._is_closing:
            return AppError("cancelled", "The model was unloaded.", "Load it again.", detail=detail)
        if self._has_stalled:
            return AppError(
                "engine_stalled",
                f"The engine gave no sign of life for {self._stall_s:.0f} s and was ended.",
                "Send the request again: the model is loaded anew.",
                retryable=True,
                detail=detail,
            )
        how = f"was ended by {name}" if name else f"ended with status {status}"
        return AppError(
            "engine_crashed",
            f"The engine process {how} while {'loading' if phase == 'load' else 'running'}.",
            _next_step(name),
            retryable=True,
            detail=detail,
        )


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the few variables a worker gets: what native libraries need, and no secret."""
    kept = {
        name: value
        for name, value in environment.items()
        if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }
    kept["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    kept["PYTHONUNBUFFERED"] = "1"
    # llama.cpp numbers GPUs as the driver does, so that a plan's GPU is the one it gets.
    kept.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    kept["GGML_NO_BACKTRACE"] = "1"  # an abort must not start a debugger
    return kept


def from_wire(error: WireError) -> AppError:
    """Return an error that crossed the pipe."""
    return AppError(
        error.code, error.message, error.hint, retryable=error.retryable, detail=error.detail
    )


def _next_step(signal_name: str | None) -> str:
    if signal_name == "SIGKILL":
        return (
            "The system may have run short of memory: close other programs or choose a smaller "
            "context, then send the request again; the model is loaded anew."
        )
    return (
        "Send the request again: the model is loaded anew. If it happens again, try another "
        "quantisation and report the last lines of its log."
    )


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _resolve(future: asyncio.Future[Any] | None, value: object) -> None:
    if future is not None and not future.done():
        future.set_result(value)
