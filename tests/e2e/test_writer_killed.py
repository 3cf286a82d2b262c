"""200 times `kill -9` of the process that writes chats: what it acknowledged is there."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pytest

from doubles import chat_writer
from doubles.server import fake_paths
from freehold.chats import tree
from freehold.chats.schema import SCHEMA
from freehold.storage.connection import Database

KILLS = 200
TESTS = Path(__file__).resolve().parents[1]


def start_writer(folder: Path) -> subprocess.Popen[bytes]:
    """Start a writer that waits for its word to begin."""
    path = os.pathsep.join((str(TESTS.parent / "app"), str(TESTS)))
    return subprocess.Popen(
        [sys.executable, chat_writer.__file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )


def run_and_kill(writer: subprocess.Popen[bytes], chance: random.Random) -> list[str]:
    """Let the writer begin and kill it at a random moment; return the whole lines it said."""
    assert writer.stdin is not None
    assert writer.stdout is not None
    writer.stdin.write(b"\n")
    writer.stdin.flush()
    if chance.random() < 0.85:
        # Most kills hit the writing; the others its start.
        select.select([writer.stdout], [], [], 20)
    time.sleep(chance.random() * 0.03)
    return kill(writer)


def kill(writer: subprocess.Popen[bytes]) -> list[str]:
    """Kill the writer; return the whole lines it had said."""
    assert writer.stdin is not None
    assert writer.stdout is not None
    writer.send_signal(signal.SIGKILL)
    said = writer.stdout.read()
    writer.wait(10)
    writer.stdin.close()
    writer.stdout.close()
    return said.decode().rpartition("\n")[0].splitlines()


def read_all(database: Path) -> dict[str, tuple[str, str]]:
    """Return status and text of every message, and check the file."""
    connection = apsw.Connection(str(database))
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT id FROM message").fetchall()
        messages = [tree.find_message(connection, id_) for (id_,) in rows]
    finally:
        connection.close()
    return {message.id: (message.status, message.content) for message in messages}


@pytest.mark.e2e
@pytest.mark.timeout(280)
def test_nothing_acknowledged_is_lost_in_200_kills(tmp_path: Path) -> None:
    chance = random.Random(20_261_124)  # fixed, so that a failure can be repeated
    paths = fake_paths(tmp_path)
    asked: set[str] = set()
    told: dict[str, int] = {}
    ended: dict[str, int] = {}
    following = start_writer(tmp_path)
    for _ in range(KILLS):
        writer, following = following, start_writer(tmp_path)
        for line in run_and_kill(writer, chance):
            word, id_, *count = line.split()
            if word == "asked":
                asked.add(id_)
            else:
                (told if word == "told" else ended)[id_] = int(count[0])
        if not paths.database.exists():
            continue
        found = read_all(paths.database)
        assert asked <= found.keys()
        for id_, length in told.items():
            assert len(found[id_][1]) >= length
        for id_, length in ended.items():
            status, text = found[id_]
            assert (status, len(text)) == ("complete", length)
    kill(following)
    assert len(asked) > KILLS  # the kills did hit a writer at work
    assert len(told) > len(ended)
    # The server's own start puts an end to what was left half written.
    Database.open(paths, (SCHEMA,)).close()
