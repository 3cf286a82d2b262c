"""A chat as a file a person can keep: Markdown to read, JSON with every branch."""

# ruff: noqa: S608  (only our own column lists are put into SQL text)

from __future__ import annotations

import re
import time
from typing import Any, Final

import msgspec

from freehold.chats.rows import MESSAGE_COLUMNS, message_from
from freehold.wire import Chat, Message
from freehold.wire_grounds import Grounds

SPEAKERS: Final = {"user": "You", "assistant": "Assistant", "system": "System", "tool": "Tool"}


def as_markdown(_connection: Any, chat: Chat) -> str:
    """Return the active branch as Markdown."""
    parts = [f"# {chat.title or 'Untitled chat'}\n"]
    if chat.system_prompt:
        parts.append(f"**System prompt**\n\n{chat.system_prompt}\n")
    parts += [_section(message) for message in chat.messages]
    return "\n".join(parts)


def as_json(connection: Any, chat: Chat) -> str:
    """Return the chat with every branch as JSON."""
    rows = connection.execute(
        f"SELECT {MESSAGE_COLUMNS} FROM message WHERE chat_id = ? ORDER BY seq",
        (chat.id,),
    ).fetchall()
    document = {
        "format": "freehold-chat",
        "version": 1,
        "chat": msgspec.structs.replace(chat, messages=(), siblings={}),
        "active_branch": [message.id for message in chat.messages],
        "messages": [message_from(connection, row) for row in rows],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _section(message: Message) -> str:
    who = SPEAKERS[message.role]
    if message.role == "assistant" and message.model_ref:
        who += f" ({message.model_ref})"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(message.created_at))
    lines = [f"## {who} · {when}\n"]
    if message.reasoning:
        quoted = "\n".join(f"> {line}".rstrip() for line in message.reasoning.splitlines())
        lines.append(f"> *Thinking*\n>\n{quoted}\n")
    if message.attached:
        names = ", ".join(one.name for one in message.attached)
        lines.append(f"*Documents: {names}*\n")
    if message.content:
        lines.append(message.content.rstrip("\n") + "\n")
    if message.grounds is not None:
        lines += _sources(message.grounds)
    for call in message.tool_calls:
        text = msgspec.json.format(msgspec.json.encode(call), indent=2).decode()
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
        lines.append(f"{fence}json\n{text}\n{fence}\n")
    if message.status not in ("complete", "waiting", "streaming"):
        why = f": {message.error.message}" if message.error else ""
        lines.append(f"*({message.status}{why})*\n")
    return "\n".join(lines)


def _sources(grounds: Grounds) -> list[str]:
    """Return where an answer's citations stand, and how its documents were used."""
    lines = []
    for citation in grounds.citations:
        quote = " ".join(citation.quote.split())
        place = f"{citation.file}, {citation.page_word} {citation.page}"
        lines.append(f"> [{citation.number}] {place}: “{quote}”")
    if grounds.says:
        lines += [">", f"> *{grounds.says}*"] if lines else [f"> *{grounds.says}*"]
    return ["\n".join(lines) + "\n"] if lines else []
