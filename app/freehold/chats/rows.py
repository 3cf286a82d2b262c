"""Rows of the chat tables as the API's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from freehold.errors import AppError
from freehold.wire import ChatSummary, ErrorInfo, Message, ReplyStats
from freehold.wire_grounds import AttachedDocument, Grounds

BUSY: Final = ("waiting", "streaming")
MESSAGE_COLUMNS: Final = (
    "seq, id, chat_id, parent_id, role, CAST(content AS BLOB), CAST(reasoning AS BLOB),"
    " tool_calls, status, model_ref, created_at, stats, error, grounds, attached"
)
SUMMARY_COLUMNS: Final = (
    "id, title, updated_at, model_ref, pinned, trashed_at, EXISTS (SELECT 1 FROM message"
    " WHERE message.chat_id = chat.id AND message.status IN ('waiting', 'streaming'))"
)

_stats = msgspec.json.Decoder(ReplyStats)
_grounds = msgspec.json.Decoder(Grounds)
_attached = msgspec.json.Decoder(tuple[AttachedDocument, ...])
_error = msgspec.json.Decoder(ErrorInfo)
_calls = msgspec.json.Decoder(tuple[dict[str, Any], ...])


def encode(value: object) -> str:
    """Return a value as the JSON text of a column."""
    return msgspec.json.encode(value).decode()


def message_from(connection: Any, row: Sequence[Any]) -> Message:
    """Return a message, with the text that came so far if its reply is under way."""
    (
        seq,
        id_,
        chat_id,
        parent_id,
        role,
        content,
        reasoning,
        calls,
        status,
        ref,
        at,
        stats,
        error,
        grounds,
        attached,
    ) = row
    # As bytes: a byte that a bad disk turned over costs one character, not the chat.
    content, reasoning = content.decode("utf-8", "replace"), reasoning.decode("utf-8", "replace")
    if status in BUSY:
        streamed = chunks(connection, seq)
        content += streamed["content"]
        reasoning += streamed["reasoning"]
    return Message(
        id=id_,
        chat_id=chat_id,
        parent_id=parent_id,
        role=role,
        content=content,
        reasoning=reasoning,
        tool_calls=_calls.decode(calls) if calls else (),
        status=status,
        model_ref=ref,
        created_at=at,
        stats=_stats.decode(stats) if stats else None,
        error=_error.decode(error) if error else None,
        grounds=_grounds.decode(grounds) if grounds else None,
        attached=_attached.decode(attached) if attached else (),
    )


def chunks(connection: Any, message_seq: int) -> Mapping[str, str]:
    """Return the streamed text of a message by part."""
    parts: dict[str, list[str]] = {"content": [], "reasoning": []}
    for part, text in connection.execute(
        "SELECT part, text FROM message_chunk WHERE message_seq = ? ORDER BY seq", (message_seq,)
    ):
        parts[part].append(text)
    return {part: "".join(texts) for part, texts in parts.items()}


def summary_from(row: Sequence[Any]) -> ChatSummary:
    """Return a row of the chat list."""
    id_, title, updated_at, model_ref, pinned, trashed_at, busy = row
    return ChatSummary(
        id=id_,
        title=title,
        updated_at=updated_at,
        model_ref=model_ref,
        pinned=bool(pinned),
        busy=bool(busy),
        trashed_at=trashed_at,
    )


def error_info(error: AppError) -> ErrorInfo:
    """Return an error as the API's value; figures that are not JSON become text."""
    data = msgspec.to_builtins(error.to_dict(), enc_hook=str)
    return msgspec.convert(data, ErrorInfo)


def no_chat(chat_id: str) -> AppError:
    """Return the error for a chat that is not there."""
    return AppError(
        "not_found",
        "This chat no longer exists.",
        "It may have been deleted in another window.",
        detail={"chat_id": chat_id[:100]},
    )


def no_message(message_id: str) -> AppError:
    """Return the error for a message that is not there."""
    return AppError(
        "not_found",
        "This message no longer exists.",
        "Its chat may have been deleted in another window.",
        detail={"message_id": message_id[:100]},
    )
