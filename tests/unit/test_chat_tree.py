"""Chats as trees: what is stored against a simple model kept in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doubles.conversation_tree import Conversation
from freehold.chats import tree
from freehold.chats.conversations import Conversations
from freehold.chats.questions import Question, ask
from freehold.chats.schema import SCHEMA
from freehold.errors import AppError
from freehold.paths import Paths
from freehold.storage.connection import Database
from freehold.wire import AnyEvent, Changed, Message


class Place:
    """A database, the chats in it and what was told."""

    def __init__(self, folder: Path) -> None:
        paths = Paths(folder / "d", folder / "s", folder / "c", folder / "g")
        paths.create()
        self.database = Database.open(paths, (SCHEMA,))
        self.now = 1000.0
        self.told: list[AnyEvent] = []
        self.chats = Conversations(self.database, self.told.append, clock=lambda: self.now)

    def ask(
        self, chat_id: str, parent: str | None, text: str | None, token: str | None = None
    ) -> Any:
        self.now += 1
        question = Question(chat_id, parent, text, token, self.now)
        return self.database.write_now(lambda c: ask(c, question))

    def finish(self, reply: Message, text: str = "answer", status: str = "complete") -> Message:
        done = msgspec.structs.replace(reply, content=text, status=status)
        self.database.write_now(lambda c: tree.fold(c, done))
        return done


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.database.close()


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["send", "regenerate", "edit", "select"]), st.integers(0, 10**6)),
    max_size=25,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(actions=ACTIONS, limit=st.integers(0, 6))
def test_branches_match_the_model(place: Place, actions: list[tuple[str, int]], limit: int) -> None:
    chat = asyncio.run(place.chats.create())
    model = Conversation(chat.id, "", 0, 0)
    for action, pick in actions:
        messages = list(model.messages.values())
        of_role = {role: [m for m in messages if m.role == role] for role in ("user", "assistant")}
        if action == "send":
            parents = [None, *(m.id for m in of_role["assistant"])]
            asked = place.ask(chat.id, parents[pick % len(parents)], f"q{pick}")
        elif action == "regenerate" and of_role["assistant"]:
            old = of_role["assistant"][pick % len(of_role["assistant"])]
            asked = place.ask(chat.id, old.parent_id, None)
        elif action == "edit" and of_role["user"]:
            old = of_role["user"][pick % len(of_role["user"])]
            asked = place.ask(chat.id, old.parent_id, f"e{pick}")
        elif action == "select" and messages:
            chosen = messages[pick % len(messages)]
            model.choose(chosen.id)
            asyncio.run(place.chats.select(chosen.id))
            continue
        else:
            continue
        if asked.sent.user_message is not None:
            model.add(asked.sent.user_message)
        model.add(place.finish(asked.sent.reply))
    branch = model.branch()
    whole = asyncio.run(place.chats.chat(chat.id))
    assert whole.messages == branch
    assert whole.total == len(branch)
    assert whole.siblings == model.siblings(model.branch())
    part = asyncio.run(place.chats.chat(chat.id, limit=limit))
    assert part.messages == (branch[-limit:] if limit else ())
    if branch:
        middle = branch[len(branch) // 2]
        before = asyncio.run(place.chats.chat(chat.id, limit=limit, before=middle.id))
        end = len(branch) // 2
        assert before.messages == branch[max(0, end - limit) : end]


def test_a_token_sent_again_returns_the_same_messages(place: Place) -> None:
    chat = asyncio.run(place.chats.create())
    first = place.ask(chat.id, None, "once", "token")
    place.finish(first.sent.reply, "answered")
    again = place.ask(chat.id, None, "once", "token")
    assert (first.fresh, again.fresh) == (True, False)
    assert again.sent.user_message == first.sent.user_message
    assert again.sent.reply.content == "answered"


def test_a_question_under_an_answer_still_being_written_is_refused(place: Place) -> None:
    chat = asyncio.run(place.chats.create())
    first = place.ask(chat.id, None, "one")
    with pytest.raises(AppError) as refused:
        place.ask(chat.id, first.sent.reply.id, "two")
    assert refused.value.code == "conflict"
    assert asyncio.run(place.chats.chat(chat.id)).total == 2


def test_a_parent_in_another_chat_is_refused(place: Place) -> None:
    one, two = asyncio.run(place.chats.create()), asyncio.run(place.chats.create())
    asked = place.ask(one.id, None, "one")
    place.finish(asked.sent.reply)
    with pytest.raises(AppError) as refused:
        place.ask(two.id, asked.sent.reply.id, "two")
    assert refused.value.code == "invalid_request"
    with pytest.raises(AppError) as missing:
        place.ask(two.id, "nothing", "two")
    assert missing.value.code == "not_found"


def test_streamed_text_is_read_before_and_after_it_is_folded(place: Place) -> None:
    chat = asyncio.run(place.chats.create())
    reply = place.ask(chat.id, None, "go").sent.reply
    for part, text in (
        ("reasoning", "hm "),
        ("content", "Hel"),
        ("reasoning", "ok"),
        ("content", "lo"),
    ):
        place.database.write_now(lambda c, p=part, t=text: tree.append_text(c, reply.id, p, t))
    under_way = asyncio.run(place.chats.message(reply.id))
    assert (under_way.content, under_way.reasoning, under_way.status) == (
        "Hello",
        "hm ok",
        "waiting",
    )
    assert asyncio.run(place.chats.list())[0].busy
    place.finish(under_way, "Hello")
    assert asyncio.run(place.chats.message(reply.id)).content == "Hello"
    left = place.database.read_now(lambda c: c.execute("SELECT * FROM message_chunk").fetchall())
    assert left == []


def test_a_server_that_died_leaves_interrupted_replies_with_what_came(place: Place) -> None:
    chat = asyncio.run(place.chats.create())
    waiting = place.ask(chat.id, None, "one").sent.reply
    streaming = place.ask(chat.id, None, "two").sent.reply
    place.database.write_now(lambda c: tree.append_text(c, streaming.id, "content", "half an"))
    place.database.write_now(
        lambda c: c.execute("UPDATE message SET status = 'streaming' WHERE id = ?", (streaming.id,))
    )
    done = place.finish(place.ask(chat.id, None, "three").sent.reply)
    assert asyncio.run(place.chats.recover()) == 2
    for reply, text in ((waiting, ""), (streaming, "half an")):
        found = asyncio.run(place.chats.message(reply.id))
        assert (found.status, found.content) == ("interrupted", text)
        assert found.error is not None
        assert found.error.hint
    assert asyncio.run(place.chats.message(done.id)).status == "complete"
    assert [h.message_id for h in asyncio.run(place.chats.search("half"))] == [streaming.id]
    assert asyncio.run(place.chats.recover()) == 0


def test_the_trash_is_emptied_after_30_days(place: Place) -> None:
    old, kept = asyncio.run(place.chats.create()), asyncio.run(place.chats.create())
    place.finish(place.ask(old.id, None, "secret words", "t").sent.reply)
    asyncio.run(place.chats.trash(old.id))
    place.now += 29 * 86_400
    assert asyncio.run(place.chats.purge()) == 0
    place.now += 2 * 86_400
    place.told.clear()
    assert asyncio.run(place.chats.purge()) == 1
    assert place.told == [Changed(topic="chats")]
    assert [c.id for c in asyncio.run(place.chats.list())] == [kept.id]
    for table in ("message", "sent_token", "message_chunk", "message_text"):
        rows = place.database.read_now(
            lambda c, t=table: c.execute(f"SELECT count(*) FROM {t}").fetchall()  # noqa: S608
        )
        assert rows == [(0,)], table


def test_a_clock_that_jumps_back_purges_nothing(place: Place) -> None:
    chat = asyncio.run(place.chats.create())
    asyncio.run(place.chats.trash(chat.id))
    place.now -= 10 * 365 * 86_400
    assert asyncio.run(place.chats.purge()) == 0
    assert asyncio.run(place.chats.list(trashed=True))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("owl", True),
        ("OWLS hunt", True),
        ("hunt owls", True),
        ('"owls hunt"', True),
        ('"hunt owls"', False),
        ("cafe", True),
        ("猫头鹰", True),
        ("头鹰", True),
        ("鹰头", False),
        ("owl fox", False),
        ("NEAR(", False),
        ('un"balanced', False),
        ("", False),
        ("* - ^ :", False),
    ],
)
def test_search(place: Place, query: str, found: bool) -> None:
    chat = asyncio.run(place.chats.create())
    asked = place.ask(chat.id, None, "Barn owls hunt by the Café. 猫头鹰在夜里捕猎。\0 end")
    place.finish(asked.sent.reply, "")
    hits = asyncio.run(place.chats.search(query))
    assert [h.message_id for h in hits] == ([asked.sent.user_message.id] if found else [])


def test_a_title_a_person_gave_is_found(place: Place) -> None:
    chat = asyncio.run(place.chats.create())
    place.finish(place.ask(chat.id, None, "x").sent.reply, "something")
    asyncio.run(place.chats.update(chat.id, title="Holiday plans"))
    assert [h.chat_id for h in asyncio.run(place.chats.search("holiday"))] == [chat.id]


def test_sampling_settings_are_checked(place: Place) -> None:
    chat = asyncio.run(place.chats.create())
    for wrong in ({"temperature": "hot"}, {"nonsense": 1}, {"max_tokens": 0}, {"max_tokens": "x"}):
        with pytest.raises(AppError) as refused:
            asyncio.run(place.chats.update(chat.id, sampling=wrong))
        assert refused.value.code == "invalid_request"
    asyncio.run(place.chats.update(chat.id, sampling={"temperature": 0.1, "max_tokens": 5}))


def test_export_has_every_branch(place: Place) -> None:
    chat = asyncio.run(place.chats.create())
    first = place.ask(chat.id, None, "one")
    place.finish(first.sent.reply, "answer one ```")
    place.finish(place.ask(chat.id, None, "other").sent.reply, "answer two")
    markdown = asyncio.run(place.chats.export(chat.id, "markdown"))
    assert "answer two" in markdown
    assert "answer one" not in markdown
    document = msgspec.json.decode(asyncio.run(place.chats.export(chat.id, "json")))
    assert [m["content"] for m in document["messages"]] == [
        "one",
        "answer one ```",
        "other",
        "answer two",
    ]
    assert len(document["active_branch"]) == 2
    with pytest.raises(AppError):
        asyncio.run(place.chats.export(chat.id, "pdf"))


def test_growing_a_long_chat_takes_the_same_time_at_any_length(place: Place) -> None:
    chat = asyncio.run(place.chats.create())
    parent, durations = None, []
    for _ in range(600):
        begun = time.perf_counter()
        question = Question(chat.id, parent, "q", None, 0.0)
        sent = place.database.write_now(lambda c, q=question: ask(c, q), durable=False).sent
        durations.append(time.perf_counter() - begun)
        parent = place.finish(sent.reply).id
    early, late = sorted(durations[:100])[50], sorted(durations[-100:])[50]
    assert late < 3 * early + 0.001
