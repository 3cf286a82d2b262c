"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request

from freehold.engine.protocol import Delta, Done, PrefillProgress
from freehold.engine.requests import ChatPrompt, GenerateRequest
from freehold.server.event_stream import EventStream
from freehold.server.gate import App
from freehold.server.generation import (
    Collected,
    JsonAnswer,
    StreamAnswer,
    collect,
    follow,
    run_all,
)
from freehold.server.openai_messages import (
    MAX_MESSAGES,
    MAX_TOOLS,
    ChatMessage,
    Tool,
    ToolChoice,
    to_message,
    to_tool,
    to_tool_choice,
)
from freehold.server.openai_request import decode_request, invalid, schema_text
from freehold.server.openai_sampling import SamplingFields, TokenCount, positive_limit
from freehold.server.openai_values import (
    DONE,
    FINGERPRINT,
    ChatChunks,
    chat_logprobs,
    encode,
    new_id,
    timings_value,
    usage_value,
)
from freehold.server.wiring import House

ROUTE = "/v1/chat/completions"
MAX_TEMPLATE_KWARGS = 64


class StreamOptions(msgspec.Struct, frozen=True):
    """What a streamed answer carries besides text."""

    include_usage: bool = False


class NamedSchema(msgspec.Struct, frozen=True, kw_only=True):
    """A schema the answer must follow."""

    name: str = ""
    schema: dict[str, Any] | None = None


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None
    schema: dict[str, Any] | None = None


class ChatRequest(SamplingFields, frozen=True, kw_only=True):
    """The body of a chat request; fields that are not here are dropped."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=MAX_MESSAGES)]
    model: Annotated[str, Meta(max_length=1024)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: TokenCount | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: Annotated[list[Tool], Meta(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    enable_thinking: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None


_decoder = msgspec.json.Decoder(ChatRequest)


def to_prompt(request: ChatRequest) -> ChatPrompt:
    """Return the engine's prompt for a chat request."""
    kwargs = dict(request.chat_template_kwargs or {})
    if len(kwargs) > MAX_TEMPLATE_KWARGS:
        raise invalid("`chat_template_kwargs` has too many entries.", "chat_template_kwargs")
    thinking = request.enable_thinking
    if isinstance(kwargs.get("enable_thinking"), bool):
        thinking = kwargs.pop("enable_thinking") if thinking is None else thinking
    if request.reasoning_effort == "none":
        thinking = False
    elif request.reasoning_effort is not None:
        kwargs.setdefault("reasoning_effort", request.reasoning_effort)
    tools = request.tools or []
    going_on = bool(request.continue_final_message)
    return ChatPrompt(
        messages=tuple(to_message(message, i) for i, message in enumerate(request.messages)),
        tools=tuple(to_tool(tool) for tool in tools),
        tool_choice=to_tool_choice(request.tool_choice, tools),
        parallel_tool_calls=bool(tools) and request.parallel_tool_calls is not False,
        enable_thinking=thinking,
        template_kwargs=kwargs,
        add_generation_prompt=(
            request.add_generation_prompt
            if request.add_generation_prompt is not None
            else not going_on
        ),
        continue_final_message=going_on,
    )


def wanted_schema(request: ChatRequest) -> str | None:
    """Return the JSON schema the answer must follow, as text."""
    wanted = request.response_format
    schema: dict[str, Any] | None = None
    if request.json_schema is not None:
        schema = request.json_schema
    elif wanted is not None and wanted.type == "json_object":
        schema = wanted.schema or {"type": "object"}
    elif wanted is not None and wanted.type == "json_schema":
        schema = (wanted.json_schema and wanted.json_schema.schema) or wanted.schema
        if schema is None:
            raise invalid(
                "`response_format` asks for a JSON schema and has none.",
                "response_format.json_schema.schema",
            )
    if schema is None:
        return None
    if request.grammar is not None:
        raise invalid("Send a grammar or a JSON schema, not both.", "grammar")
    if request.tools and request.tool_choice != "none":
        raise invalid(
            "A JSON answer and tools cannot be asked for together.",
            "response_format",
            "Leave one of them out, or set `tool_choice` to none.",
        )
    return schema_text(schema, "response_format")


def to_requests(request: ChatRequest) -> list[GenerateRequest]:
    """Return one engine request for each choice asked for."""
    prompt = to_prompt(request)
    schema = wanted_schema(request)
    if request.grammar is not None and request.tools and request.tool_choice != "none":
        raise invalid("A grammar and tools cannot be asked for together.", "grammar")
    limit = positive_limit(
        request.max_tokens
        if request.max_completion_tokens is None
        else request.max_completion_tokens
    )
    if limit == 0:
        name = "max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"
        raise invalid(f"`{name}` must be at least 1.", name)
    if request.top_logprobs is not None and not request.logprobs:
        raise invalid("`top_logprobs` needs `logprobs` to be true.", "top_logprobs")
    return [
        GenerateRequest(
            id=new_id("chat"),
            prompt=prompt,
            key="local",
            priority_key="api",
            max_tokens=limit,
            stop=request.stops,
            sampling=request.sampling(index),
            grammar=request.grammar,
            json_schema=schema,
            logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        )
        for index in range(request.n or 1)
    ]


async def answer_chat(house: House, http: Request) -> App:
    """Answer a chat request, streamed or whole."""
    request = decode_request(await http.body(), _decoder)
    jobs = to_requests(request)
    ref = await house.models.chat(request.model)
    if request.stream:
        with_usage = bool(request.stream_options and request.stream_options.include_usage)
        return StreamAnswer(
            ROUTE, house.counters, lambda stream: _stream(house, ref, jobs, stream, with_usage)
        )
    return JsonAnswer(ROUTE, house.counters, lambda: _whole(house, ref, jobs))


async def _stream(
    house: House, ref: str, jobs: list[GenerateRequest], stream: EventStream, with_usage: bool
) -> None:
    def loading(fraction: float) -> None:
        stream.note = f"loading {fraction:.0%}"

    def prefill(progress: PrefillProgress) -> None:
        stream.note = f"prefill {progress.done}/{progress.total}"

    async with house.engines.lease(ref, loading) as held:
        stream.note = "queued"
        chunks = ChatChunks(ref, with_usage=with_usage)

        async def one(index: int, job: GenerateRequest) -> Done:
            begun = False

            async def tell(delta: Delta) -> None:
                nonlocal begun
                data = chunks.delta(index, delta)
                if not begun:
                    begun = True
                    data = chunks.first(index) + data
                await stream.write(data)

            done = await follow(held.engine, job, tell, prefill)
            house.counters.add_usage(ref, done.usage)
            last = chunks.last(index, done)
            await stream.write(last if begun else chunks.first(index) + last)
            return done

        outcomes = await run_all([one(index, job) for index, job in enumerate(jobs)])
    await stream.finish((chunks.usage(outcomes) if with_usage else b"") + DONE)


async def _whole(house: House, ref: str, jobs: list[GenerateRequest]) -> bytes:
    async with house.engines.lease(ref) as held:
        results = await run_all([collect(held.engine, job) for job in jobs])
    for _output, done in results:
        house.counters.add_usage(ref, done.usage)
    outcomes = [done for _output, done in results]
    return encode(
        {
            "id": new_id("chatcmpl"),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": ref,
            "system_fingerprint": FINGERPRINT,
            "choices": [_choice(i, output, done) for i, (output, done) in enumerate(results)],
            "usage": usage_value(outcomes),
            "timings": timings_value(outcomes[0].usage, outcomes[0].timings),
        }
    )


def _choice(index: int, output: Collected, done: Done) -> dict[str, Any]:
    content = "".join(output.content)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": content if content or not output.calls else None,
        "refusal": None,
    }
    if output.reasoning:
        message["reasoning_content"] = "".join(output.reasoning)
    if output.calls:
        message["tool_calls"] = [
            {
                "id": call.call_id or new_id("call"),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for _, call in sorted(output.calls.items())
        ]
    return {
        "index": index,
        "message": message,
        "logprobs": (
            {"content": chat_logprobs(output.logprobs), "refusal": None}
            if output.logprobs
            else None
        ),
        "finish_reason": done.finish_reason,
    }
