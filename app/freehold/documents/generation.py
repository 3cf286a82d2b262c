"""Short ways to the engine for documents: count a prompt, write an answer greedily."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

from freehold.engine.interface import Lease
from freehold.engine.protocol import Delta, Done, Failed, PrefillProgress
from freehold.engine.requests import ChatPrompt, GenerateRequest, SamplingParams
from freehold.errors import AppError

# One person owns the documents: a prompt computed in one chat is found again in the next.
KEY: Final = "documents"

Messages = tuple[dict[str, Any], ...]
Phase = Callable[[str, int, int], None]


def to_prompt(messages: Messages) -> ChatPrompt:
    """Return messages as the engine takes them; no tools, whatever stands in a document."""
    return ChatPrompt(messages=messages, enable_thinking=False)


async def count(lease: Lease, messages: Messages) -> int:
    """Return how many tokens a prompt has, by the model's own tokenizer and template."""
    return len((await lease.engine.tokenize(chat=to_prompt(messages))).tokens)


async def write(lease: Lease, messages: Messages, max_tokens: int, tell: Phase) -> tuple[str, Done]:
    """Return what the model writes, greedily; the same question gives the same answer.

    Raises: AppError from the engine.
    """
    request = GenerateRequest(
        id=f"documents-{secrets.token_hex(8)}",
        prompt=to_prompt(messages),
        key=KEY,
        priority_key="window",
        max_tokens=max_tokens,
        sampling=SamplingParams(temperature=0.0, seed=0),
    )
    parts: list[str] = []
    written = 0
    async for event in lease.engine.generate(request):
        match event:
            case PrefillProgress(done=done, total=total):
                tell("prefill", done, total)
            case Delta():
                parts.append(event.content)
                written += event.tokens
                tell("answering", written, max_tokens)
            case Failed(error=error):
                raise AppError(error.code, error.message, error.hint, retryable=error.retryable)
            case Done():
                return "".join(parts), event
            case _:
                pass
    raise AppError("interrupted", "The answer broke off.", "Ask again.", retryable=True)
