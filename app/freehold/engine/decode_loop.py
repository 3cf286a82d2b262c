"""The decode thread: schedule, decode, sample, hand over. It alone touches the context."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from freehold.engine.emitter import Emitter
from freehold.engine.job import Ended, Job, Place, Progress, TokenOut, wire_error
from freehold.engine.llama_context import ABORTED, NO_ROOM, NativeContext
from freehold.engine.llama_embeddings import NativeEmbedder
from freehold.engine.native_step import LogprobReader, SampleStep
from freehold.engine.preparation import STACK_BYTES, EmbedJob, Prepared
from freehold.engine.protocol import Embedded, Failed
from freehold.engine.requests import TokenLogprob
from freehold.engine.scheduler import Scheduler
from freehold.engine.sequences import FinishReason, Sequence
from freehold.engine.step_log import StepLog
from freehold.engine.steps import Limits, Step
from freehold.engine.thread_tuner import ThreadTuner
from freehold.errors import AppError, internal

log = logging.getLogger(__name__)

PREFILL_STEP_S: Final = 0.25  # a step of prompt tokens alone aims to be no longer
QUEUE_S: Final = 0.25  # those who wait are told their place no more often
WORTH_INTERRUPTING: Final = 64  # prompt tokens in a step below which a cancel just waits for it


@dataclass(slots=True)
class EmbedWork:
    """An embed request and the vectors computed so far."""

    job: EmbedJob
    vectors: list[bytes] = field(default_factory=list)


class DecodeLoop:
    """Runs the scheduler's steps while there is work, and sleeps otherwise."""

    def __init__(
        self,
        context: NativeContext,
        embedder: NativeEmbedder,
        model_handle: int,
        parallel: int,
        emitter: Emitter,
        tuner: ThreadTuner | None,
    ) -> None:
        self._context = context
        self._embedder = embedder
        self._emitter = emitter
        self._tuner = tuner
        self._embedding: deque[EmbedWork] = deque()
        self.scheduler = Scheduler(
            Limits(
                cells=context.cells,
                slots=context.slots,
                parallel=parallel,
                batch_tokens=context.batch_tokens,
                can_trim=context.can_trim,
            )
        )
        self._sampling = SampleStep(context.handle, context.slots)
        self._logprobs = LogprobReader(model_handle, context.handle)
        self._jobs: dict[str, Job] = {}
        self._inbox: deque[Prepared | tuple[str, FinishReason]] = deque()
        self._wake = threading.Event()
        self._in_flight: Step | None = None
        self.step_log = StepLog()
        self._prefill_tokens_per_s = 0.0
        self._queue_told_s = 0.0
        self.steps = 0
        self.tokens_generated = 0
        self.prompt_tokens = 0
        self.cached_tokens = 0
        before = threading.stack_size(STACK_BYTES)
        self._thread = threading.Thread(target=self._run, name="decode", daemon=True)
        threading.stack_size(before)

    def start(self) -> None:
        self._thread.start()

    # --- from other threads

    def submit(self, prepared: Prepared) -> None:
        """Queue a job."""
        self._inbox.append(prepared)
        self._wake.set()

    def end(self, request_id: str, reason: FinishReason) -> None:
        """End a job within one step; a long prompt is broken off."""
        self._inbox.append((request_id, reason))
        self._wake.set()
        step = self._in_flight
        if step is None:
            return
        mine = sum(c.end - c.start for c in step.prefill if c.sequence.id == request_id)
        # Breaking off costs the others their part of the step, so only the main one may.
        if mine >= WORTH_INTERRUPTING and mine * 2 >= step.token_count:
            self._context.interrupt()

    def interrupt(self) -> None:
        """Break off the step under way, for shutdown."""
        self._context.interrupt()

    @property
    def is_busy(self) -> bool:
        return bool(self._jobs or self._inbox or self._embedding)

    # --- the thread

    def _run(self) -> None:
        try:
            while True:
                if self._inbox:
                    self._take_inbox()
                if self._embedding:
                    self._embed_group()
                if self.scheduler.has_work:
                    self._step()
                elif not self._embedding:
                    self._wake.wait()
                    self._wake.clear()
        except Exception:
            log.exception("the decode thread failed")
            os._exit(70)

    def _take_inbox(self) -> None:
        while self._inbox:
            item = self._inbox.popleft()
            if isinstance(item, Job):
                self._jobs[item.id] = item
                self.scheduler.add(item.sequence)
            elif isinstance(item, EmbedJob):
                self._embedding.append(EmbedWork(item))
                self._emitter.wake()  # signs of life are due from now on
            else:
                job = self._jobs.get(item[0])
                if job is not None:
                    self._end(job, item[1])

    def _step(self) -> None:
        scheduler = self.scheduler
        began = time.monotonic()
        step = scheduler.plan(self._prefill_budget())
        if not step.decode and not step.prefill:
            for change in step.memory:
                self._context.change_memory(change)
            if not scheduler.running_count:
                # Nothing runs and nothing can start: only kept prefixes can be in the way.
                scheduler.make_way()
            return
        if step.prefill:
            self._note_start(step, began)
        if scheduler.waiting_count and began - self._queue_told_s >= QUEUE_S:
            self._tell_queue(began)
        tuner = self._tuner
        count = step.token_count
        if tuner is not None:
            self._context.set_threads(tuner.choose(count))
        self._in_flight = step
        computing = time.monotonic()
        self.step_log.begin(computing)
        try:
            status, indices = self._context.run(step)
        finally:
            self._in_flight = None
        computed = time.monotonic()
        if tuner is not None:
            tuner.note(count, computed - computing)
        if status != 0:
            self.step_log.give_up()
            self._recover(step, status)
            return
        self.step_log.note(computing, computed, step)
        ready = scheduler.complete(step)
        self.steps += 1
        if step.prefill:
            self._note_prefill(step, time.monotonic() - began)
        if ready:
            self._sample(ready, indices)

    def _sample(self, ready: list[Sequence], indices: list[int]) -> None:
        jobs = [self._jobs[sequence.id] for sequence in ready]
        results = self._sampling.run([job.sampler for job in jobs], indices)
        out: list[TokenOut] = []
        now = time.monotonic()
        append = self.scheduler.append
        for job, result, index in zip(jobs, results, indices, strict=True):
            logprob = None
            end: FinishReason | None = None
            if result.ended:
                end = "stop"
            else:
                if job.request.logprobs is not None:
                    logprob = self._read_logprob(job, index, result.token)
                if append(job.sequence, result.token):
                    end = "length"
            if job.first_token_s is None:
                job.first_token_s = now
            if end is not None:
                self._finish(job, now)
            out.append(TokenOut(job, result.piece, logprob, end))
        self.tokens_generated += len(out)
        self._emitter.handover.append(out)
        self._emitter.wake()

    def _read_logprob(self, job: Job, index: int, token: int) -> TokenLogprob:
        (found,) = self._logprobs.read([index], [token], job.request.logprobs or 0)
        return found

    # --- endings

    def _finish(self, job: Job, now: float) -> None:
        job.ended_s = now
        self.scheduler.finish(job.sequence)
        self._jobs.pop(job.id, None)
        job.sampler.close()

    def _end(self, job: Job, reason: FinishReason, error: AppError | None = None) -> None:
        self._finish(job, time.monotonic())
        self._hand_over_end(job, reason, error)

    def _hand_over_end(self, job: Job, reason: FinishReason, error: AppError | None = None) -> None:
        told = None if error is None else wire_error(error)
        self._emitter.handover.append(Ended(job, reason, told))
        self._emitter.wake()

    def _recover(self, step: Step, status: int) -> None:
        """Put the sequences of a step that was not computed where they really stand."""
        scheduler = self.scheduler
        for sequence in step.decode:
            scheduler.rewind(sequence, sequence.computed)
        for sequence, start, end in step.prefill:
            reached = min(self._context.computed(sequence.slot), end)
            scheduler.rewind(sequence, max(reached, 0) if status == ABORTED else start)
        if status == ABORTED or (status == NO_ROOM and scheduler.make_way()):
            return
        log.error("llama_decode answered %d for %d tokens", status, step.token_count)
        error = internal()
        if status in (NO_ROOM, -2):
            error = AppError(
                "does_not_fit",
                "There was not enough memory to compute the answer.",
                "Load the model with a smaller context or batch size, then try again.",
                retryable=True,
            )
        for sequence in [*step.decode, *(chunk.sequence for chunk in step.prefill)]:
            self._end(self._jobs[sequence.id], "stop", error)

    # --- prompts

    def _prefill_budget(self) -> int:
        """Return the prompt tokens of the next step: few beside answers, more alone if fast."""
        micro = self._context.micro_batch_tokens
        if self.scheduler.is_decoding:
            return micro
        fitting = int(self._prefill_tokens_per_s * PREFILL_STEP_S) // micro * micro
        return max(micro, fitting)

    def _note_start(self, step: Step, now: float) -> None:
        for chunk in step.prefill:
            job = self._jobs[chunk.sequence.id]
            if job.started_s is None:
                job.started_s = now
                self.cached_tokens += chunk.sequence.cached_tokens
                self._hand_over_progress(job, chunk.start)

    def _note_prefill(self, step: Step, seconds: float) -> None:
        count = step.token_count - len(step.decode)
        self.prompt_tokens += count
        if not step.decode and seconds > 0 and count >= self._context.micro_batch_tokens:
            self._prefill_tokens_per_s = count / seconds
        for chunk in step.prefill:
            job = self._jobs[chunk.sequence.id]
            self._hand_over_progress(job, chunk.end)

    def _tell_queue(self, now: float) -> None:
        self._queue_told_s = now
        queue = self.scheduler.queue()
        for ahead, sequence in enumerate(queue):
            job = self._jobs[sequence.id]
            # One that lost its slot has begun its answer and is not told that it waits.
            if job.started_s is None:
                self._emitter.handover.append(Place(job, ahead, len(queue)))
        self._emitter.wake()

    def _hand_over_progress(self, job: Job, done: int) -> None:
        if job.first_token_s is None:
            self._emitter.handover.append(Progress(job, done))
            self._emitter.wake()

    # --- embeddings

    def _embed_group(self) -> None:
        """Compute one batch of the first embed request; requests that generate go on between."""
        work = self._embedding[0]
        inputs = work.job.inputs
        try:
            if not work.vectors:
                self._embedder.check(inputs)
            start = len(work.vectors)
            end = self._embedder.next_group(inputs, start)
            work.vectors += self._embedder.embed(inputs[start:end])
        except AppError as error:
            self._embedding.popleft()
            self._emitter.send(Failed(id=work.job.id, error=wire_error(error)))
            return
        if len(work.vectors) == len(inputs):
            self._embedding.popleft()
            count = sum(map(len, inputs))
            self.prompt_tokens += count
            self._emitter.send(
                Embedded(id=work.job.id, vectors=tuple(work.vectors), prompt_tokens=count)
            )
