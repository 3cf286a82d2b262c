"""A piece of a reply, and the text of it that is shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FENCE: Final = re.compile(r"^( *)(`{3,}|~{3,})[ \t]*([^\r\n]*)$")
THINK_OPEN: Final = "<think>"
THINK_CLOSE: Final = "</think>"
_MAYBE_MARK = re.compile(r"^ *(`{1,}|~{1,})[^`]*$")


class Kind(StrEnum):
    """What a segment holds, which decides how it is drawn."""

    PROSE = "prose"
    CODE = "code"
    TABLE = "table"
    THINKING = "thinking"


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a reply.

    text: exactly the characters of the input. indent: columns of the list item it stands in, which
    are left out when it is shown. language: the first word behind a code fence.
    """

    kind: Kind
    text: str
    frozen: bool
    indent: int = 0
    language: str = ""

    @property
    def shown(self) -> str:
        """Return the text to draw: without fences, marks and the indent of its list item."""
        if self.kind is Kind.THINKING:
            return _thinking_text(self.text)
        text = self.text
        if not self.frozen:
            head, newline, last = text.rpartition("\n")
            if _MAYBE_MARK.match(last):  # a fence that is still being written
                text = head + newline
        if self.kind is Kind.CODE:
            return _code_text(text, self.indent)
        return _dedent(text, self.indent) if self.indent else text


def cells(row: str) -> list[str]:
    """Return the cells of a table row; `\\|` and pipes inside code spans do not divide."""
    body = row.strip()
    body = body[1:] if body.startswith("|") else body
    found: list[str] = []
    start, position, ticks = 0, 0, False
    while position < len(body):
        character = body[position]
        if character == "\\":
            position += 1
        elif character == "`":
            ticks = not ticks and body.find("`", position + 1) >= 0
        elif character == "|" and not ticks:
            found.append(body[start:position].strip())
            start = position + 1
        position += 1
    last = body[start:].strip()
    if last or not found:
        found.append(last)
    return [cell.replace("\\|", "|") for cell in found]


def _code_text(text: str, indent: int) -> str:
    first, _, body = text.partition("\n")
    opening = FENCE.match(first.rstrip("\r"))
    lines = body.split("\n")
    if lines[-1] == "":
        lines.pop()
    closing = FENCE.match(lines[-1].rstrip("\r")) if lines else None
    if opening and closing and not closing[3] and closing[2].startswith(opening[2]):
        lines.pop()
    return "\n".join(_without_indent(line.rstrip("\r"), indent) for line in lines)


def _thinking_text(text: str) -> str:
    body = text.lstrip()[len(THINK_OPEN) :]
    return body.split(THINK_CLOSE, 1)[0].strip("\r\n")


def _dedent(text: str, indent: int) -> str:
    """Take the indent off the lines up to the first that has less of it."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        if line.strip() and len(line) - len(line.lstrip(" ")) < min(indent, 2):
            break
        lines[index] = _without_indent(line, indent)
    return "\n".join(lines)


def _without_indent(line: str, indent: int) -> str:
    lead = len(line) - len(line.lstrip(" "))
    return line[min(lead, indent) :]
