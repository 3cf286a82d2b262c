"""Keep text written by people and tools from becoming control tokens.

A rendered prompt is tokenised with special tokens parsed, since the template's own marks are
special tokens. A message holding `<|im_end|>` would then end the user's turn and speak as the
system. So before rendering, a cut mark is put inside each special token's text in a message; after
rendering the prompt is split at the marks, and no piece holds the whole text any more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

CUT = "\ufdd0"  # a Unicode noncharacter: reserved for a program's own use, never text


class SpecialTexts:
    """The special tokens of one vocabulary, made ready for searching."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Take the texts of control and user-defined tokens."""
        by_start: dict[str, list[str]] = {}
        for text in texts:
            if len(text) >= 2 and not text.isspace():
                by_start.setdefault(text[:2], []).append(text)
        self._by_start = {start: tuple(found) for start, found in by_start.items()}
        # Templates look for thinking tags in the assistant's own messages to cut thoughts away.
        self._spoken = {
            start: tuple(text for text in found if "think" not in text.lower())
            for start, found in self._by_start.items()
        }
        starts = "|".join(re.escape(start) for start in sorted(by_start))
        self._start = re.compile(f"(?={starts})") if starts else None

    def cut(self, text: str, *, spoken: bool = False) -> str:
        """Return `text` with a mark inside every special text; `spoken` spares thinking tags."""
        if CUT in text:
            text = text.replace(CUT, "")
        if self._start is None:
            return text
        table = self._spoken if spoken else self._by_start
        result = []
        done = 0
        for match in self._start.finditer(text):
            at = match.start()
            if text.startswith(table[text[at : at + 2]], at):
                result.append(text[done : at + 1])
                done = at + 1
        if not result:
            return text
        result.append(text[done:])
        return CUT.join(result)

    def cut_messages(self, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the messages with marks in what users, tools and the model said.

        The system's and developer's messages are the operator's own and stay as they are.
        """
        return [self._cut_message(message) for message in messages]

    def cut_tools(self, tools: Any) -> Any:
        """Return tool definitions with marks in their descriptions, which may come from outside."""
        if isinstance(tools, Mapping):
            return {
                key: self.cut(value)
                if key == "description" and isinstance(value, str)
                else self.cut_tools(value)
                for key, value in tools.items()
            }
        if isinstance(tools, (list, tuple)):
            return [self.cut_tools(item) for item in tools]
        return tools

    def _cut_message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        role = message.get("role")
        result = dict(message)
        if role in ("system", "developer"):
            return result
        spoken = role == "assistant"
        for key in ("content", "reasoning_content"):
            if key in result:
                result[key] = self._cut_content(result[key], spoken=spoken)
        calls = result.get("tool_calls")
        if isinstance(calls, (list, tuple)):
            result["tool_calls"] = [self._cut_call(call) for call in calls]
        return result

    def _cut_content(self, content: Any, *, spoken: bool) -> Any:
        if isinstance(content, str):
            return self.cut(content, spoken=spoken)
        if isinstance(content, (list, tuple)):
            return [
                {**part, "text": self.cut(part["text"], spoken=spoken)}
                if isinstance(part, Mapping) and isinstance(part.get("text"), str)
                else part
                for part in content
            ]
        return content

    def _cut_call(self, call: Any) -> Any:
        if not isinstance(call, Mapping) or not isinstance(call.get("function"), Mapping):
            return call
        function = dict(call["function"])
        arguments = function.get("arguments", "{}")
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        function["arguments"] = self.cut(arguments or "{}")
        return {"type": "function", **call, "function": function}


def split_at_cuts(prompt: str) -> tuple[str, ...]:
    """Return the pieces of a rendered prompt, to be tokenised one by one."""
    return tuple(piece for piece in prompt.split(CUT) if piece) or ("",)
