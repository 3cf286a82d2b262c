"""A conversation as text in Kimi's format: what the model sees, and which part it must say.

`render` writes what Kimi K2's chat template writes; a test holds it against the template as the
app renders it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

DEFAULT_SYSTEM: Final = "You are Kimi, an AI assistant created by Moonshot AI."
END: Final = "<|im_end|>"
Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call: the tool's name and its arguments."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `calls` only in an assistant's."""

    role: Role
    text: str = ""
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages and the tools declared before them; every assistant message is to be learned."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text, and whether the model is to say it."""

    text: str
    spoken: bool


def render(conversation: Conversation, *, ask: bool = False) -> tuple[Piece, ...]:
    """Return the conversation as the template writes it.

    ask: end with the header of an assistant's message, for it to be generated.
    """
    pieces: list[Piece] = []
    quiet = ""
    if conversation.tools:
        declared = json.dumps(conversation.tools, ensure_ascii=False)
        quiet += f"<|im_system|>tool_declare<|im_middle|>{declared}{END}"
    if not conversation.messages or conversation.messages[0].role != "system":
        quiet += f"<|im_system|>system<|im_middle|>{DEFAULT_SYSTEM}{END}\n"
    called: list[str] = []
    count = 0
    for message in conversation.messages:
        if message.role == "assistant":
            quiet += "<|im_assistant|>assistant<|im_middle|>"
            said = message.text
            if message.calls:
                ids = [
                    f"functions.{call.name}:{count + at}" for at, call in enumerate(message.calls)
                ]
                count += len(ids)
                called += ids
                said += write_calls(message.calls, ids)
            pieces += [Piece(quiet, spoken=False), Piece(said + END, spoken=True)]
            quiet = ""
        elif message.role == "tool":
            quiet += (
                f"<|im_system|>tool<|im_middle|>## Return of {called.pop(0)}\n{message.text}{END}"
            )
        elif message.role == "user":
            quiet += f"<|im_user|>user<|im_middle|>{message.text}{END}"
        else:
            quiet += f"<|im_system|>system<|im_middle|>{message.text}{END}"
    if ask:
        quiet += "<|im_assistant|>assistant<|im_middle|>"
    if quiet:
        pieces.append(Piece(quiet, spoken=False))
    return tuple(pieces)


def write_calls(calls: tuple[ToolCall, ...], ids: list[str]) -> str:
    """Return calls as Kimi writes them."""
    inner = "".join(
        f"<|tool_call_begin|>{name}<|tool_call_argument_begin|>"
        f"{json.dumps(call.arguments, ensure_ascii=False)}<|tool_call_end|>"
        for name, call in zip(ids, calls, strict=True)
    )
    return f"<|tool_calls_section_begin|>{inner}<|tool_calls_section_end|>"


def questions_of(conversation: Conversation) -> list[tuple[Conversation, Message]]:
    """Return, for each assistant message, what stands before it and what is expected."""
    return [
        (Conversation(conversation.messages[:at], conversation.tools), message)
        for at, message in enumerate(conversation.messages)
        if message.role == "assistant"
    ]
