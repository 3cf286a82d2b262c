"""The preparation thread: renders, tokenises and checks requests before they are scheduled.

Templates and grammars may take their time here without holding up those who are being answered.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from freehold.engine.chat_format import FormatHelper, OutputParser
from freehold.engine.chat_values import AppliedPrompt, GrammarConstraint
from freehold.engine.job import Job, wire_error
from freehold.engine.llama import NativeModel
from freehold.engine.llama_sampler import build_sampler
from freehold.engine.native_step import special_texts
from freehold.engine.output import OutputReader
from freehold.engine.protocol import (
    Done,
    Embed,
    Failed,
    Generate,
    Tokenize,
    Tokenized,
    WorkerMessage,
)
from freehold.engine.requests import (
    ChatPrompt,
    GenerateRequest,
    InfillPrompt,
    TextPrompt,
    Timings,
    Usage,
)
from freehold.engine.sampling import (
    check_logprobs,
    check_sampling,
    check_stops,
    make_stages,
    read_temperature,
)
from freehold.engine.sequences import make_sequence
from freehold.errors import AppError, internal

log = logging.getLogger(__name__)

STACK_BYTES: Final = 64 * 1024 * 1024  # grammars recurse in C++; a thread's usual 8 MB is little


@dataclass(frozen=True, slots=True)
class EmbedJob:
    """Tokenised inputs of an embed request."""

    id: str
    inputs: tuple[list[int], ...]


Prepared = Job | EmbedJob


class Preparation:
    """Turns requests into jobs, in order, on its own thread."""

    def __init__(
        self,
        model: NativeModel,
        *,
        template: str | None,
        context_tokens: int,
        can_generate: bool,
        submit: Callable[[Prepared], None],
        send: Callable[[WorkerMessage], None],
    ) -> None:
        self._model = model
        self._context_tokens = context_tokens
        self._can_generate = can_generate
        self._submit = submit
        self._send = send
        self._end_tokens = model.end_tokens()
        self._advised_temperature = read_temperature(model.metadata("general.sampling.temp"))
        self._cancelled: set[str] = set()
        self._pending: set[str] = set()
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[Generate | Tokenize | Embed, float] | None]
        self._queue = queue.SimpleQueue()
        self.formats = FormatHelper(
            template,
            bos_text=model.token_text("bos"),
            eos_text=model.token_text("eos"),
            add_bos=model.adds("bos"),
            add_eos=model.adds("eos"),
            special_texts=special_texts(model.handle),
        )
        before = threading.stack_size(STACK_BYTES)
        self._thread = threading.Thread(target=self._run, name="prepare", daemon=True)
        self._thread.start()
        threading.stack_size(before)

    def put(self, command: Generate | Tokenize | Embed) -> None:
        """Queue a request; from the reading thread."""
        if isinstance(command, Generate):
            self._pending.add(command.request.id)
        self._queue.put((command, time.monotonic()))

    def cancel(self, request_id: str) -> bool:
        """Cancel a request that is not submitted yet; return whether it was here."""
        with self._lock:
            if request_id not in self._pending:
                return False
            self._cancelled.add(request_id)
            return True

    # --- the thread

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            command, received_s = item
            request_id = command.request.id if isinstance(command, Generate) else command.id
            try:
                self._handle(command, received_s)
            except AppError as error:
                self._send(Failed(id=request_id, error=wire_error(error)))
            except Exception:
                log.exception("a request could not be prepared")
                self._send(Failed(id=request_id, error=wire_error(internal())))
            finally:
                self._pending.discard(request_id)
                self._cancelled.discard(request_id)

    def _handle(self, command: Generate | Tokenize | Embed, received_s: float) -> None:
        if isinstance(command, Tokenize):
            self._send(self._tokenize(command))
        elif isinstance(command, Embed):
            self._submit(EmbedJob(command.id, tuple(map(self._input_tokens, command.inputs))))
        else:
            self._generate(command.request, received_s)

    def _generate(self, request: GenerateRequest, received_s: float) -> None:
        if request.id in self._cancelled:
            self._send_cancelled(request.id)
            return
        if not self._can_generate:
            raise AppError(
                "not_supported",
                "This model is loaded for embeddings and does not generate text.",
                "Choose a chat model; this one turns text into numbers, for searching.",
            )
        job = self._make_job(request, received_s)
        with self._lock:
            # From here on a cancel finds the job with the decode thread.
            self._pending.discard(request.id)
            if request.id not in self._cancelled:
                self._submit(job)
                return
        job.sampler.close()
        job.output.close()
        self._send_cancelled(request.id)

    def _send_cancelled(self, request_id: str) -> None:
        self._send(Done(id=request_id, finish_reason="cancelled", usage=Usage(), timings=Timings()))

    def _make_job(self, request: GenerateRequest, received_s: float) -> Job:
        check_sampling(request.sampling, self._model.vocab_size)
        check_stops(request.stop)
        check_logprobs(request.logprobs)
        applied: AppliedPrompt | None = None
        if isinstance(request.prompt, ChatPrompt):
            applied = self._apply(request.prompt, request)
            tokens = self._chat_tokens(applied)
            constraint = applied.constraint
        else:
            tokens = self._plain_tokens(request.prompt)
            constraint = self._constrain(request)
        sequence = make_sequence(
            request.id,
            tokens,
            context_tokens=self._context_tokens,
            max_tokens=request.max_tokens,
            key=request.key,
            priority_key=request.priority_key,
        )
        stages = make_stages(
            request.sampling,
            context_tokens=self._context_tokens,
            end_tokens=self._end_tokens,
            advised_temperature=self._advised_temperature,
        )
        sampler = build_sampler(self._model.handle, self._model.vocab, stages, constraint)
        stops = request.stop if applied is None else (*request.stop, *applied.stops)
        parser = None if applied is None else OutputParser(applied)
        return Job(request, sequence, sampler, OutputReader(stops, parser), received_s)

    # --- prompts

    def _apply(self, prompt: ChatPrompt, request: GenerateRequest) -> AppliedPrompt:
        _check_constraint(request)
        return self.formats.apply(prompt, json_schema=request.json_schema, grammar=request.grammar)

    def _constrain(self, request: GenerateRequest) -> GrammarConstraint | None:
        _check_constraint(request)
        if request.grammar is None and request.json_schema is None:
            return None
        return self.formats.constrain(json_schema=request.json_schema, grammar=request.grammar)

    def _chat_tokens(self, applied: AppliedPrompt) -> list[int]:
        tokens: list[int] = []
        for index, piece in enumerate(applied.pieces):
            tokens += self._model.tokenize(piece, add_special=index == 0)
        return tokens

    def _plain_tokens(self, prompt: TextPrompt | InfillPrompt | ChatPrompt) -> list[int]:
        if isinstance(prompt, InfillPrompt):
            return self._infill_tokens(prompt)
        assert isinstance(prompt, TextPrompt)
        if prompt.tokens is not None:
            self._model.check_tokens(prompt.tokens)
            return list(prompt.tokens)
        return self._model.tokenize(prompt.text or "", add_special=True)

    def _infill_tokens(self, prompt: InfillPrompt) -> list[int]:
        prefix, suffix, middle = self._model.infill_tokens()
        if min(prefix, suffix, middle) < 0:
            raise AppError(
                "not_supported",
                "This model cannot fill text in between: it has no fill-in-the-middle tokens.",
                "Choose a code model that has them, or leave out `suffix`.",
            )
        plain = self._model.tokenize
        before = plain(prompt.prefix, add_special=False, parse_special=False)
        after = plain(prompt.suffix, add_special=False, parse_special=False)
        start = plain("", add_special=True)
        return [*start, prefix, *before, suffix, *after, middle]

    # --- tokens and inputs

    def _tokenize(self, command: Tokenize) -> Tokenized:
        if command.tokens is not None:
            text = self._model.detokenize(command.tokens)
            return Tokenized(id=command.id, tokens=command.tokens, text=text)
        if command.chat is not None:
            applied = self.formats.apply(command.chat)
            tokens = self._chat_tokens(applied)
            return Tokenized(id=command.id, tokens=tuple(tokens), text=applied.prompt)
        text = command.text or ""
        tokens = self._model.tokenize(text, add_special=command.add_special)
        return Tokenized(id=command.id, tokens=tuple(tokens), text=text)

    def _input_tokens(self, given: str | tuple[int, ...]) -> list[int]:
        if isinstance(given, str):
            tokens = self._model.tokenize(given, add_special=True)
        else:
            self._model.check_tokens(given)
            tokens = list(given)
        if not tokens:
            raise AppError(
                "invalid_request", "An input is empty.", "Send at least one character of text."
            )
        return tokens


def _check_constraint(request: GenerateRequest) -> None:
    if request.grammar is not None and request.json_schema is not None:
        raise AppError(
            "invalid_request",
            "A grammar and a JSON schema cannot be used together.",
            "Send one of them.",
        )
