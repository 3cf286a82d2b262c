"""`POST /v1/completions`: text, tokens or a gap to be filled, without a chat template."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request

from freehold.engine.interface import Lease
from freehold.engine.protocol import Delta, Done
from freehold.engine.requests import GenerateRequest, InfillPrompt, TextPrompt
from freehold.errors import AppError
from freehold.server.event_stream import EventStream
from freehold.server.gate import App
from freehold.server.generation import JsonAnswer, StreamAnswer, collect, follow, run_all
from freehold.server.openai_chat import StreamOptions
from freehold.server.openai_request import decode_request, invalid, schema_text
from freehold.server.openai_sampling import SamplingFields, positive_limit
from freehold.server.openai_values import (
    DONE,
    FINGERPRINT,
    TextChunks,
    encode,
    new_id,
    text_logprobs,
    timings_value,
    usage_of,
)
from freehold.server.wiring import House

ROUTE = "/v1/completions"
MAX_CHOICES = 128
MAX_VOCABULARY = 2**31 - 1
DEFAULT_TOKENS = 16  # OpenAI's own default of this older route

TokenId = Annotated[int, Meta(ge=0, le=MAX_VOCABULARY)]


class CompletionRequest(SamplingFields, frozen=True, kw_only=True):
    """The body of a completion request; fields that are not here are dropped."""

    prompt: str | list[Any]
    model: Annotated[str, Meta(max_length=1024)] | None = None
    suffix: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    best_of: Annotated[int, Meta(ge=1, le=128)] | None = None


_decoder = msgspec.json.Decoder(CompletionRequest)


@dataclass(frozen=True, slots=True)
class Job:
    """One choice: its request and the prompt's text or tokens, for `echo`."""

    request: GenerateRequest
    prompt: str | tuple[int, ...]


def read_prompts(prompt: str | list[Any]) -> list[str | tuple[int, ...]]:
    """Return the prompts of a request, which come in four shapes."""
    if isinstance(prompt, str):
        return [prompt]
    if prompt and all(type(item) is int for item in prompt):
        prompt = [prompt]
    if not 1 <= len(prompt) <= MAX_CHOICES:
        raise invalid(f"`prompt` must hold 1 to {MAX_CHOICES} prompts.", "prompt")
    prompts: list[str | tuple[int, ...]] = []
    for item in prompt:
        if isinstance(item, str):
            prompts.append(item)
            continue
        try:
            prompts.append(msgspec.convert(item, tuple[TokenId, ...]))
        except msgspec.ValidationError as error:
            raise invalid("`prompt` must hold strings or lists of token ids.", "prompt") from error
    return prompts


def to_jobs(request: CompletionRequest) -> list[Job]:
    """Return one job for each choice of each prompt, prompts first."""
    if request.best_of is not None and request.best_of > (request.n or 1):
        raise invalid("`best_of` is not supported.", "best_of", "Ask for `n` answers instead.")
    if request.echo and request.logprobs is not None:
        raise invalid("Log probabilities of an echoed prompt are not supported.", "logprobs")
    if request.json_schema is not None and request.grammar is not None:
        raise invalid("Send a grammar or a JSON schema, not both.", "grammar")
    limit = DEFAULT_TOKENS if request.max_tokens is None else positive_limit(request.max_tokens)
    if limit == 0:
        raise invalid("`max_tokens` must be at least 1.", "max_tokens")
    prompts = read_prompts(request.prompt)
    count = request.n or 1
    if len(prompts) * count > MAX_CHOICES:
        raise invalid(f"More than {MAX_CHOICES} choices at once are not possible.", "n")
    schema = None
    if request.json_schema is not None:
        schema = schema_text(request.json_schema, "json_schema")
    return [
        Job(
            GenerateRequest(
                id=new_id("text"),
                prompt=_prompt(prompt, request.suffix),
                key="local",
                priority_key="api",
                max_tokens=limit,
                stop=request.stops,
                sampling=request.sampling(index),
                grammar=request.grammar,
                json_schema=schema,
                logprobs=request.logprobs,
            ),
            prompt,
        )
        for prompt in prompts
        for index in range(count)
    ]


def _prompt(prompt: str | tuple[int, ...], suffix: str | None) -> TextPrompt | InfillPrompt:
    if suffix is not None:
        if not isinstance(prompt, str):
            raise invalid("With `suffix` the prompt must be text.", "suffix")
        return InfillPrompt(prefix=prompt, suffix=suffix)
    if isinstance(prompt, str):
        return TextPrompt(text=prompt)
    if not prompt:
        raise invalid("A prompt has no tokens.", "prompt")
    return TextPrompt(tokens=prompt)


async def answer_completion(house: House, http: Request) -> App:
    """Answer a completion request, streamed or whole."""
    request = decode_request(await http.body(), _decoder)
    jobs = to_jobs(request)
    ref = await house.models.chat(request.model)
    if request.stream:
        return StreamAnswer(
            ROUTE, house.counters, lambda stream: _stream(house, ref, request, jobs, stream)
        )
    return JsonAnswer(ROUTE, house.counters, lambda: _whole(house, ref, request, jobs))


async def _prefixes(held: Lease, request: CompletionRequest, jobs: list[Job]) -> list[str]:
    """Return what each choice begins with, and refuse what this model cannot do."""
    if request.suffix is not None and not held.info.has_infill:
        raise AppError(
            "invalid_request",
            f"{held.ref} was not made to fill gaps, so `suffix` is not possible.",
            "Use a code model with fill-in-the-middle, or leave `suffix` out.",
            detail={"param": "suffix"},
        )
    if not request.echo:
        return [""] * len(jobs)
    return [
        job.prompt
        if isinstance(job.prompt, str)
        else (await held.engine.tokenize(tokens=job.prompt)).text
        for job in jobs
    ]


async def _stream(
    house: House, ref: str, request: CompletionRequest, jobs: list[Job], stream: EventStream
) -> None:
    with_usage = bool(request.stream_options and request.stream_options.include_usage)

    def loading(fraction: float) -> None:
        stream.note = f"loading {fraction:.0%}"

    async with house.engines.lease(ref, loading) as held:
        chunks = TextChunks(ref, with_usage=with_usage)
        prefixes = await _prefixes(held, request, jobs)

        async def one(index: int) -> Done:
            offset = len(prefixes[index])

            async def tell(delta: Delta) -> None:
                nonlocal offset
                logprobs = text_logprobs(delta.logprobs, offset) if delta.logprobs else None
                offset += len(delta.content)
                await stream.write(chunks.text(index, delta.content, logprobs))

            if prefixes[index]:
                await stream.write(chunks.text(index, prefixes[index]))
            done = await follow(held.engine, jobs[index].request, tell)
            house.counters.add_usage(ref, done.usage)
            await stream.write(chunks.last(index, done))
            return done

        outcomes = await run_all([one(index) for index in range(len(jobs))])
    usages = [done.usage for done in outcomes]
    tail = chunks.usage(usages, len(jobs) // (request.n or 1)) if with_usage else b""
    await stream.finish(tail + DONE)


async def _whole(house: House, ref: str, request: CompletionRequest, jobs: list[Job]) -> bytes:
    async with house.engines.lease(ref) as held:
        prefixes = await _prefixes(held, request, jobs)
        results = await run_all([collect(held.engine, job.request) for job in jobs])
    choices = []
    for index, (output, done) in enumerate(results):
        house.counters.add_usage(ref, done.usage)
        logprobs = text_logprobs(output.logprobs) if request.logprobs is not None else None
        choices.append(
            {
                "index": index,
                "text": prefixes[index] + "".join(output.content),
                "logprobs": logprobs,
                "finish_reason": done.finish_reason,
            }
        )
    first = results[0][1]
    return encode(
        {
            "id": new_id("cmpl"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": ref,
            "system_fingerprint": FINGERPRINT,
            "choices": choices,
            "usage": usage_of([d.usage for _, d in results], len(jobs) // (request.n or 1)),
            "timings": timings_value(first.usage, first.timings),
        }
    )
