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
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(TESTS.parent / "app"), str(TESTS))),
    }
    return subprocess.Popen(
        [sys.executable, "-X", "frozen_modules=on", chat_writer.__file__, str(folder)],
        stdout=subprocess.PIPE,
        env=environment,
    )


def kill_after(writer: subprocess.Popen[bytes], chance: random.Random) -> list[str]:
    """Kill the writer at a random moment; return the whole lines it said before."""
    assert writer.stdout is not None
    pipe = writer.stdout.fileno()
    if chance.random() < 0.85:
        # Most kills hit the writing; the others its start.
        select.select([pipe], [], [], 20)
    time.sleep(chance.random() * 0.03)
    writer.send_signal(signal.SIGKILL)
    said = writer.stdout.read()
    writer.wait(10)
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
@pytest.mark.timeout(150)
def test_nothing_acknowledged_is_lost_in_200_kills(tmp_path: Path) -> None:
    chance = random.Random(20_261_124)  # fixed, so that a failure can be repeated
    paths = fake_paths(tmp_path)
    asked: set[str] = set()
    told: dict[str, int] = {}
    ended: dict[str, int] = {}
    for _ in range(KILLS):
        for line in kill_after(start_writer(tmp_path), chance):
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
    assert len(asked) > KILLS  # the kills did hit a writer at work
    assert len(told) > len(ended)
    # The server's own start puts an end to what was left half written.
    Database.open(paths, (SCHEMA,)).close()
