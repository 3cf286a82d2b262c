"""Chats at the size of years: 10,000 chats, 100,000 messages, one chat of 2,000 messages."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from freehold.chats import tree
from freehold.chats.conversations import Conversations
from freehold.chats.questions import Question, ask
from freehold.chats.schema import SCHEMA
from freehold.paths import Paths
from freehold.storage.connection import Database
from freehold.wire import Chat

pytestmark = pytest.mark.allow_leaks("the database of this module is open as long as the module")

CHATS = 10_000
MESSAGES_PER_CHAT = 10
LONG_CHAT_MESSAGES = 2_000


@pytest.fixture(scope="module")
def words() -> list[str]:
    chance = random.Random(3)
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(20_000)]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> Iterator[Database]:
    folder = tmp_path_factory.mktemp("scale")
    paths = Paths(folder / "d", folder / "s", folder / "c", folder / "g")
    paths.create()
    opened = Database.open(paths, (SCHEMA,))
    opened.write_now(lambda c: fill(c, words), durable=False)
    yield opened
    opened.close()


def fill(connection: Any, words: list[str]) -> None:
    """Store years of chats; common words occur in most messages, rare ones in few."""
    chance = random.Random(4)
    for number in range(CHATS):
        count = LONG_CHAT_MESSAGES if number == 0 else MESSAGES_PER_CHAT
        grow(connection, f"chat{number}", count, float(number), words, chance)


def grow(
    connection: Any, chat_id: str, count: int, at: float, words: list[str], chance: random.Random
) -> None:
    connection.execute(
        "INSERT INTO chat (id, title, created_at, updated_at) VALUES (?, '', 0, ?)", (chat_id, at)
    )
    parent = None
    for _ in range(count // 2):
        text = " ".join([*chance.choices(words[:50], k=20), *chance.choices(words, k=40)])
        sent = ask(connection, Question(chat_id, parent, text, None, at)).sent
        done = msgspec.structs.replace(sent.reply, content=text[::-1], status="complete")
        tree.fold(connection, done)
        parent = done.id


def best_of(call: Callable[[], Awaitable[object]], runs: int = 5) -> tuple[float, object]:
    """Return the median duration of a call in seconds, and what it gave."""
    durations, result = [], None
    for _ in range(runs):
        begun = time.perf_counter()
        result = asyncio.run(call())  # type: ignore[arg-type]
        durations.append(time.perf_counter() - begun)
    return statistics.median(durations), result


def test_the_end_of_a_long_chat_is_read_in_a_few_milliseconds(database: Database) -> None:
    chats = Conversations(database, lambda _: None)
    long_s, long = best_of(lambda: chats.chat("chat0", limit=30))
    short_s, _ = best_of(lambda: chats.chat("chat1", limit=30))
    whole_s, whole = best_of(lambda: chats.chat("chat0"))
    print(
        f"last 30 of 2,000: {long_s * 1e3:.1f} ms, of 10: {short_s * 1e3:.1f} ms,"
        f" all 2,000: {whole_s * 1e3:.1f} ms"
    )
    assert isinstance(long, Chat)
    assert isinstance(whole, Chat)
    assert (len(long.messages), long.total) == (30, LONG_CHAT_MESSAGES)
    assert long.messages == whole.messages[-30:]
    assert long_s < 0.030
    assert whole_s < 0.400


def test_10_000_chats_are_listed_in_300_ms(database: Database) -> None:
    chats = Conversations(database, lambda _: None)
    listed_s, rows = best_of(chats.list)
    begun = time.perf_counter()
    size = len(msgspec.json.encode(rows))
    encoded_s = time.perf_counter() - begun
    print(f"10,000 chats: {listed_s * 1e3:.0f} ms, encoded {encoded_s * 1e3:.0f} ms, {size} bytes")
    assert len(rows) == CHATS  # type: ignore[arg-type]
    assert listed_s + encoded_s < 0.300


@pytest.mark.parametrize("kind", ["common", "rare", "two", "beginning", "none"])
def test_100_000_messages_are_searched_in_500_ms(
    database: Database, words: list[str], kind: str
) -> None:
    query = {
        "common": words[0],
        "rare": words[15_000],
        "two": f"{words[1]} {words[12_000]}",
        "beginning": words[2][:2],
        "none": "zzzzzzzzzzzz",
    }[kind]
    chats = Conversations(database, lambda _: None)
    searched_s, hits = best_of(lambda: chats.search(query))
    print(f"search {kind}: {searched_s * 1e3:.0f} ms, {len(hits)} hits")  # type: ignore[arg-type]
    assert bool(hits) == (kind != "none")
    assert searched_s < 0.500


def test_sending_does_not_slow_down_with_what_is_stored(database: Database, tmp_path: Path) -> None:
    paths = Paths(tmp_path / "d", tmp_path / "s", tmp_path / "c", tmp_path / "g")
    paths.create()
    empty = Database.open(paths, (SCHEMA,))

    def ask_20(on: Database) -> float:
        chat = asyncio.run(Conversations(on, lambda _: None).create())
        durations = []
        for _ in range(20):
            begun = time.perf_counter()
            on.write_now(lambda c: ask(c, Question(chat.id, None, "word", None, 1e9)))
            durations.append(time.perf_counter() - begun)
        return statistics.median(durations)

    full_s, empty_s = ask_20(database), ask_20(empty)
    empty.close()
    print(
        f"a question is on disk after {full_s * 1e3:.1f} ms, in a new file {empty_s * 1e3:.1f} ms"
    )
    assert full_s < 5 * empty_s + 0.020
