"""Messages and tools of a chat request, cleaned to what a chat template may see."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from freehold.errors import AppError
from freehold.server.openai_request import invalid

MAX_MESSAGES = 2_000
MAX_TOOLS = 128
_NAME = Meta(pattern=r"^[a-zA-Z0-9_.\-]{1,128}$")


class ContentPart(msgspec.Struct, frozen=True):
    """A part of a message; text alone is understood."""

    type: str
    text: str | None = None
    refusal: str | None = None


class CalledFunction(msgspec.Struct, frozen=True):
    """The function of an earlier tool call."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    arguments: str | dict[str, Any] = "{}"


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call of an earlier assistant message."""

    function: CalledFunction
    id: Annotated[str, Meta(max_length=256)] = ""
    type: Literal["function"] = "function"


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as clients send it."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    name: Annotated[str, Meta(max_length=256)] | None = None
    tool_calls: Annotated[list[ToolCall], Meta(max_length=MAX_TOOLS)] | None = None
    tool_call_id: Annotated[str, Meta(max_length=256)] | None = None
    reasoning_content: str | None = None


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function the model may call."""

    name: Annotated[str, _NAME]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool the model may use."""

    function: Function
    type: Literal["function"] = "function"


class ChosenFunction(msgspec.Struct, frozen=True):
    """The name in a named tool choice."""

    name: str


class NamedChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A tool choice that forces one function."""

    function: ChosenFunction
    type: Literal["function"] = "function"


ToolChoice = Literal["auto", "none", "required"] | NamedChoice


def to_message(message: ChatMessage, index: int) -> dict[str, Any]:
    """Return a message in the shape the chat format takes."""
    role = {"developer": "system", "function": "tool"}.get(message.role, message.role)
    content = _text(message.content, index)
    if content is None and not message.tool_calls and message.reasoning_content is None:
        if role != "assistant":
            raise invalid(f"Message {index} has no content.", f"messages[{index}].content")
        content = ""
    result: dict[str, Any] = {"role": role, "content": content}
    if message.name is not None:
        result["name"] = message.name
    if message.reasoning_content is not None and role == "assistant":
        result["reasoning_content"] = message.reasoning_content
    if message.tool_calls and role == "assistant":
        result["tool_calls"] = [_call(call) for call in message.tool_calls]
    if role == "tool":
        result["tool_call_id"] = message.tool_call_id or ""
    return result


def _text(content: str | list[ContentPart] | None, index: int) -> str | None:
    if content is None or isinstance(content, str):
        return content
    texts = []
    for part in content:
        if part.type not in ("text", "input_text", "output_text", "refusal"):
            raise AppError(
                "invalid_request",
                f"Message {index} has a part of type {part.type[:40]!r}; this model reads text.",
                "Send text only.",
                detail={"param": f"messages[{index}].content"},
            )
        texts.append(part.text or part.refusal or "")
    return "\n".join(texts)


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = call.function.arguments
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    function = {"name": call.function.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def to_tool(tool: Tool) -> dict[str, Any]:
    """Return a tool in the shape the chat format takes."""
    function: dict[str, Any] = {"name": tool.function.name}
    if tool.function.description is not None:
        function["description"] = tool.function.description
    function["parameters"] = tool.function.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def to_tool_choice(choice: ToolChoice | None, tools: list[Tool]) -> str | dict[str, Any]:
    """Return the tool choice; a named one must be among the tools."""
    if choice is None:
        return "auto"
    if isinstance(choice, str):
        if choice == "required" and not tools:
            raise invalid(
                "`tool_choice` requires a tool call, but there are no tools.", "tool_choice"
            )
        return choice
    if all(tool.function.name != choice.function.name for tool in tools):
        raise invalid(
            f"`tool_choice` names {choice.function.name[:64]!r}, which is not among the tools.",
            "tool_choice",
        )
    return {"type": "function", "function": {"name": choice.function.name}}
