"""Storing a question and the place for its answer, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from freehold.chats import tree
from freehold.chats.rows import no_chat
from freehold.chats.text import title_of
from freehold.documents.scopes import attached_to
from freehold.errors import AppError
from freehold.wire import Message, Sent
from freehold.wire_grounds import AttachedDocument


@dataclass(frozen=True, slots=True)
class Question:
    """What a person asks: `text` below `parent_id`, or no text to answer `parent_id` anew."""

    chat_id: str
    parent_id: str | None
    text: str | None
    token: str | None
    now: float


@dataclass(frozen=True, slots=True)
class Asked:
    """What is stored; `fresh` is False when the token had been sent before."""

    sent: Sent
    fresh: bool


def ask(connection: Any, question: Question, *, has_documents: bool = False) -> Asked:
    """Store a question and an empty reply, or find what its token created before.

    has_documents: chats may have documents attached, which come with the question.
    Raises: AppError `not_found`, or `conflict` for a trashed chat or an answer under way.
    """
    if question.token is not None:
        known = _sent_before(connection, question.token)
        if known is not None:
            return Asked(known, fresh=False)
    row = connection.execute(
        "SELECT title, title_edited, model_ref, trashed_at FROM chat WHERE id = ?",
        (question.chat_id,),
    ).fetchone()
    if row is None:
        raise no_chat(question.chat_id)
    title, title_edited, model_ref, trashed_at = row
    if trashed_at is not None:
        raise AppError(
            "conflict",
            "This chat is in the trash.",
            "Restore it, then send again.",
            detail={"chat_id": question.chat_id},
        )
    _check_parent(connection, question)
    user_message, parent_id = None, question.parent_id
    if question.text is not None:
        attached = _new_documents(connection, question) if has_documents else ()
        user_message = _user_message(question, attached)
        tree.add(connection, user_message)
        parent_id = user_message.id
        if question.parent_id is None and not title_edited:
            title = title_of(question.text) or title
    reply = Message(
        id=tree.new_id(),
        chat_id=question.chat_id,
        parent_id=parent_id,
        role="assistant",
        content="",
        status="waiting",
        model_ref=model_ref,
        created_at=question.now,
    )
    tree.add(connection, reply)
    connection.execute(
        "UPDATE chat SET title = ?, updated_at = ?, draft = iif(?, '', draft) WHERE id = ?",
        (title, question.now, user_message is not None, question.chat_id),
    )
    if question.token is not None and user_message is not None:
        connection.execute(
            "INSERT INTO sent_token (token, chat_id, user_message_id, reply_id, created_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (question.token, question.chat_id, user_message.id, reply.id, question.now),
        )
    return Asked(Sent(user_message=user_message, reply=reply), fresh=True)


def _sent_before(connection: Any, token: str) -> Sent | None:
    row = connection.execute(
        "SELECT user_message_id, reply_id FROM sent_token WHERE token = ?", (token,)
    ).fetchone()
    if row is None:
        return None
    return Sent(
        user_message=tree.find_message(connection, row[0]),
        reply=tree.find_message(connection, row[1]),
    )


def _check_parent(connection: Any, question: Question) -> None:
    if question.parent_id is None:
        return
    parent = tree.find_message(connection, question.parent_id)
    if parent.chat_id != question.chat_id:
        raise AppError(
            "invalid_request",
            "The message to answer to is in another chat.",
            "Read the chat again.",
            detail={"param": "parent_id"},
        )
    if question.text is not None and parent.status in ("waiting", "streaming"):
        raise AppError(
            "conflict",
            "The answer above is still being written.",
            "Wait for it or stop it, then send again.",
            retryable=True,
            detail={"message_id": parent.id},
        )


def _new_documents(connection: Any, question: Question) -> tuple[AttachedDocument, ...]:
    """Return the chat's documents that no question above this one brought."""
    attached = attached_to(connection, question.chat_id)
    if not attached:
        return ()
    before = tree.attached_above(connection, question.parent_id)
    return tuple(document for document in attached if document.id not in before)


def _user_message(question: Question, attached: tuple[AttachedDocument, ...]) -> Message:
    return Message(
        id=tree.new_id(),
        chat_id=question.chat_id,
        parent_id=question.parent_id,
        role="user",
        content=question.text or "",
        created_at=question.now,
        attached=attached,
    )
