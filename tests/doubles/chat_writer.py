"""A process that writes chats as the server does, and says on stdout what it acknowledged.

    python chat_writer.py DATA_FOLDER

Lines: `asked ID`, `told ID CHARACTERS`, `ended ID CHARACTERS`; each is printed after the
transaction that it speaks of has returned. It begins at the first line on stdin (so that a test
can have the next one ready) and never ends by itself: the test kills it.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import msgspec

from freehold.chats import tree
from freehold.chats.conversations import read_chat
from freehold.chats.questions import Question, ask
from freehold.chats.schema import SCHEMA
from freehold.paths import Paths
from freehold.storage.connection import Database

CHAT = "the-chat"


def say(*words: object) -> None:
    """Acknowledge; one write, so that a kill never leaves half a line without an end."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def main(folder: Path) -> None:
    paths = Paths(folder / "data", folder / "state", folder / "cache", folder / "config")
    paths.create()
    database = Database.open(paths, (SCHEMA,))
    database.write_now(
        lambda c: c.execute(
            "INSERT OR IGNORE INTO chat (id, title, created_at, updated_at) VALUES (?, '', 0, 0)",
            (CHAT,),
        )
    )
    chat = database.read_now(lambda c: read_chat(c, CHAT, 1, None))
    parent = chat.messages[-1].id if chat.messages else None
    # A reply the last writer left half written ends here, as the server's start does it.
    for number in itertools.count():
        if parent is not None:
            left = database.read_now(lambda c, p=parent: tree.find_message(c, p))
            if left.status != "complete":
                ended = msgspec.structs.replace(left, status="interrupted")
                database.write_now(lambda c, m=ended: tree.fold(c, m))
        question = Question(CHAT, parent, f"question {number} " + "x" * (number % 50), None, 0.0)
        sent = database.write_now(lambda c, q=question: ask(c, q)).sent
        reply = sent.reply
        assert sent.user_message is not None
        say("asked", sent.user_message.id)
        text = ""
        for piece in ("some ", "words ", "of an answer ✓ " * (number % 7)):
            if piece:
                database.write_now(
                    lambda c, p=piece, i=reply.id: tree.append_text(c, i, "content", p),
                    durable=False,
                )
                text += piece
                say("told", reply.id, len(text))
        final = msgspec.structs.replace(reply, content=text, status="complete")
        database.write_now(lambda c, m=final: tree.fold(c, m))
        say("ended", reply.id, len(text))
        parent = reply.id


if __name__ == "__main__":
    if sys.stdin.readline():
        main(Path(sys.argv[1]))
