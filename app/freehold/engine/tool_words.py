"""Tell a model about its tools in words, where its chat template does not.

DeepSeek V3.1's template, for one, renders calls of tools but not the tools themselves; its makers
put them into the system message. Without this the model would not know that it has any.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def tell_tools(
    messages: Sequence[dict[str, Any]], tools: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the messages with the tools described at the end of the system message."""
    words = _describe(tools)
    if messages and messages[0].get("role") == "system":
        first = messages[0]
        content = first.get("content")
        if isinstance(content, str):
            joined: Any = f"{content}\n\n{words}" if content else words
        else:
            joined = [*(content or ()), {"type": "text", "text": words}]
        return [{**first, "content": joined}, *messages[1:]]
    return [{"role": "system", "content": words}, *messages]


def _describe(tools: Sequence[Mapping[str, Any]]) -> str:
    parts = ["## Tools\nYou have access to the following tools:"]
    for tool in tools:
        function = tool.get("function")
        if not isinstance(function, Mapping):
            continue
        parameters = json.dumps(function.get("parameters") or {}, ensure_ascii=False)
        parts.append(
            f"### {function.get('name')}\n"
            f"Description: {function.get('description') or ''}\n\n"
            f"Parameters: {parameters}"
        )
    return "\n\n".join(parts)
