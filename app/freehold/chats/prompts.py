"""What a model is given to read: the active branch in OpenAI's message shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from freehold.wire import Message


def build_messages(system_prompt: str, branch: Iterable[Message]) -> tuple[dict[str, Any], ...]:
    """Return the messages of a branch as a chat template takes them.

    Replies that never got any text are left out. Two questions in a row (the answer between them
    failed) become one message: most templates insist that roles alternate.
    """
    messages: list[dict[str, Any]] = []
    if system_prompt.strip():
        messages.append({"role": "system", "content": _clean(system_prompt)})
    for message in branch:
        if message.role == "assistant" and not (message.content or message.tool_calls):
            continue
        last = messages[-1] if messages else None
        if last is not None and message.role == "user" == last["role"]:
            last["content"] = f"{last['content']}\n\n{_clean(message.content)}"
            continue
        messages.append(_as_dict(message))
    return tuple(messages)


def _as_dict(message: Message) -> dict[str, Any]:
    data: dict[str, Any] = {"role": message.role, "content": _clean(message.content)}
    if message.role == "assistant":
        if message.reasoning:
            data["reasoning_content"] = _clean(message.reasoning)
        if message.tool_calls:
            data["tool_calls"] = list(message.tool_calls)
    return data


def _clean(text: str) -> str:
    # Chat templates are rendered by C code, for which NUL ends a text.
    return text.replace("\0", "\ufffd")
