"""Pieces of OpenAI's answers: usage, timings, log probabilities, tool calls, chunks."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from freehold import __version__
from freehold.engine.protocol import Delta, Done
from freehold.engine.requests import Timings, TokenLogprob, ToolCallDelta, Usage

FINGERPRINT: Final = f"freehold-{__version__}"
DONE: Final = b"data: [DONE]\n\n"
encode: Final = msgspec.json.Encoder().encode


# From the best to the weakest.
_METER_LEVELS = ("wall", "gpu+cpu", "gpu", "estimate")


def new_id(prefix: str) -> str:
    """Return an id nobody can guess."""
    return f"{prefix}-{secrets.token_hex(12)}"


def usage_value(outcomes: Iterable[Done]) -> dict[str, Any]:
    """Return the usage of one request; choices of one prompt share its prompt tokens."""
    return usage_of([done.usage for done in outcomes])


def usage_of(usages: list[Usage], prompts: int = 1) -> dict[str, Any]:
    """Return the usage of `len(usages)` choices, `prompts` prompts with as many choices each."""
    per_prompt = max(1, len(usages) // max(1, prompts))
    firsts = usages[::per_prompt]
    prompt_tokens = sum(usage.prompt_tokens for usage in firsts)
    completion_tokens = sum(usage.completion_tokens for usage in usages)
    value: dict[str, Any] = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": sum(usage.cached_tokens for usage in firsts)},
        "completion_tokens_details": {
            "reasoning_tokens": sum(usage.reasoning_tokens for usage in usages)
        },
    }
    energy = energy_value(usages)
    return value if energy is None else {**value, "energy": energy}


def energy_value(usages: list[Usage]) -> dict[str, Any] | None:
    """Return what the choices used above idle, or None where nothing was metered.

    meter: the weakest level any of them was measured with; "estimate" means ± 50 %.
    """
    used = [usage.energy for usage in usages if usage.energy is not None]
    if not used:
        return None
    joules = sum(energy.joules for energy in used)
    duration_s = max(energy.duration_s for energy in used)
    return {
        "energy_joules": round(joules, 6),
        "avg_power_watts": round(joules / duration_s, 3) if duration_s > 0 else 0.0,
        "duration_seconds": round(duration_s, 6),
        "meter": max((energy.level for energy in used), key=_METER_LEVELS.index),
    }


def timings_value(usage: Usage, timings: Timings) -> dict[str, float]:
    """Return llama.cpp's `timings` object, which OpenAI's clients ignore."""
    computed = usage.prompt_tokens - usage.cached_tokens
    return {
        "queue_ms": round(timings.queue_s * 1000, 3),
        "cache_n": usage.cached_tokens,
        "prompt_n": computed,
        "prompt_ms": round(timings.prefill_s * 1000, 3),
        "prompt_per_second": round(timings.prefill_tokens_per_s, 3),
        "first_token_ms": round(timings.first_token_s * 1000, 3),
        "predicted_n": usage.completion_tokens,
        "predicted_ms": round(timings.decode_s * 1000, 3),
        "predicted_per_second": round(timings.decode_tokens_per_s, 3),
    }


def chat_logprobs(logprobs: Iterable[TokenLogprob]) -> list[dict[str, Any]]:
    """Return log probabilities in the shape of chat completions."""
    return [
        {
            "token": item.token,
            "logprob": item.logprob,
            "bytes": item.bytes,
            "top_logprobs": [
                {"token": token, "logprob": logprob, "bytes": raw}
                for token, raw, logprob in item.top
            ],
        }
        for item in logprobs
    ]


def text_logprobs(logprobs: Iterable[TokenLogprob], offset: int = 0) -> dict[str, list[Any]]:
    """Return log probabilities in the older shape of text completions."""
    tokens: list[str] = []
    values: list[float] = []
    tops: list[dict[str, float]] = []
    offsets: list[int] = []
    for item in logprobs:
        tokens.append(item.token)
        values.append(item.logprob)
        tops.append({token: logprob for token, _raw, logprob in item.top})
        offsets.append(offset)
        offset += len(item.token)
    return {
        "tokens": tokens,
        "token_logprobs": values,
        "top_logprobs": tops,
        "text_offset": offsets,
    }


def call_delta(delta: ToolCallDelta) -> dict[str, Any]:
    """Return a piece of a tool call; its id, type and name come with the first piece alone."""
    function: dict[str, Any] = {"arguments": delta.arguments}
    if delta.name is None:
        return {"index": delta.index, "function": function}
    return {
        "index": delta.index,
        "id": delta.call_id or new_id("call"),
        "type": "function",
        "function": {"name": delta.name, **function},
    }


class ChatChunks:
    """Encodes the chunks of one streamed chat answer; what never changes is encoded once."""

    def __init__(self, model: str, *, with_usage: bool) -> None:
        self._head = b"data: " + encode(
            {
                "id": new_id("chatcmpl"),
                "object": "chat.completion.chunk",
                "created": int(time.time()),
                "model": model,
                "system_fingerprint": FINGERPRINT,
            }
        ).removesuffix(b"}")
        self._tail = b',"usage":null}\n\n' if with_usage else b"}\n\n"
        self._text_tail = b'},"logprobs":null,"finish_reason":null}]' + self._tail

    def first(self, index: int) -> bytes:
        """Return the chunk that names the role."""
        return self._chunk(index, {"role": "assistant", "content": ""})

    def delta(self, index: int, delta: Delta) -> bytes:
        """Return the chunk for new output."""
        if not delta.reasoning and not delta.tool_calls and not delta.logprobs:
            head = b'%s,"choices":[{"index":%d,"delta":{"content":' % (self._head, index)
            return head + encode(delta.content) + self._text_tail
        value: dict[str, Any] = {}
        if delta.reasoning:
            value["reasoning_content"] = delta.reasoning
        if delta.content:
            value["content"] = delta.content
        if delta.tool_calls:
            value["tool_calls"] = [call_delta(call) for call in delta.tool_calls]
        return self._chunk(index, value, chat_logprobs(delta.logprobs))

    def last(self, index: int, done: Done) -> bytes:
        """Return the chunk that says why the answer ended."""
        extra = b',"timings":' + encode(timings_value(done.usage, done.timings))
        return self._chunk(index, {}, finish=done.finish_reason, extra=extra)

    def usage(self, outcomes: Iterable[Done]) -> bytes:
        """Return the chunk without choices that carries the usage."""
        return b'%s,"choices":[],"usage":%s}\n\n' % (self._head, encode(usage_value(outcomes)))

    def _chunk(
        self,
        index: int,
        value: dict[str, Any],
        logprobs: list[dict[str, Any]] | None = None,
        *,
        finish: str | None = None,
        extra: bytes = b"",
    ) -> bytes:
        choice = {
            "index": index,
            "delta": value,
            "logprobs": {"content": logprobs, "refusal": None} if logprobs else None,
            "finish_reason": finish,
        }
        return b'%s,"choices":[%s]%s%s' % (self._head, encode(choice), extra, self._tail)


class TextChunks:
    """Encodes the chunks of one streamed text completion."""

    def __init__(self, model: str, *, with_usage: bool) -> None:
        self._head = b"data: " + encode(
            {
                "id": new_id("cmpl"),
                "object": "text_completion",
                "created": int(time.time()),
                "model": model,
                "system_fingerprint": FINGERPRINT,
            }
        ).removesuffix(b"}")
        self._tail = b',"usage":null}\n\n' if with_usage else b"}\n\n"

    def text(self, index: int, text: str, logprobs: dict[str, list[Any]] | None = None) -> bytes:
        """Return the chunk for new text."""
        return self._chunk(index, text, logprobs)

    def last(self, index: int, done: Done) -> bytes:
        """Return the chunk that says why the text ended."""
        extra = b',"timings":' + encode(timings_value(done.usage, done.timings))
        return self._chunk(index, "", None, finish=done.finish_reason, extra=extra)

    def usage(self, usages: list[Usage], prompts: int) -> bytes:
        """Return the chunk without choices that carries the usage."""
        value = encode(usage_of(usages, prompts))
        return b'%s,"choices":[],"usage":%s}\n\n' % (self._head, value)

    def _chunk(
        self,
        index: int,
        text: str,
        logprobs: dict[str, list[Any]] | None,
        *,
        finish: str | None = None,
        extra: bytes = b"",
    ) -> bytes:
        choice = {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}
        return b'%s,"choices":[%s]%s%s' % (self._head, encode(choice), extra, self._tail)
