"""Chats that are asked about documents, over a real server: whole, first pages, searched, and every
passage read for a count; citations kept with the reply, and nothing a document says is obeyed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from doubles.document_files import ENGLISH, make_pdf, put
from doubles.document_world import LIMIT_S, MARKED, QUESTION, World, http_world, prompt_text
from doubles.engine import Pause, Step
from freehold.documents.generation import KEY
from freehold.engine.requests import ChatPrompt, GenerateRequest
from freehold.errors import AppError
from freehold.server import document_models
from freehold.wire import ReplyFinished, ReplyProgress

FILLER = "".join(f"Paragraph {n} speaks of gardens and weather.\n\n" for n in range(4000))


def answer(request: GenerateRequest) -> Sequence[Step]:
    """Note one rent per part; otherwise answer with marks, in small pieces."""
    assert isinstance(request.prompt, ChatPrompt)
    system = str(request.prompt.messages[0]["content"])
    if system.startswith("You read one part"):
        found = re.search(r"passage (\d+) [^\n]*\n[^<]*?yearly rent", prompt_text(request))
        return [f'- a rent [{found[1]}: "yearly rent is 4,250 euros"]' if found else "None"]
    return [MARKED[start : start + 5] for start in range(0, len(MARKED), 5)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with http_world(tmp_path / "house", answer) as world:
        yield world


async def chat_about(world: World, *ids: str, prompt: str = "") -> str:
    chat = await world.whole.create_chat(model_ref="tiny")
    if prompt:
        await world.whole.update_chat(chat.id, system_prompt=prompt)
    await world.client.set_chat(chat.id, documents=ids)
    return chat.id


async def test_a_reply_carries_its_proof_and_follow_ups_stay_in_scope(
    world: World, tmp_path: Path
) -> None:
    pages = [["Cover", "Nothing here."], ["Rent", ENGLISH]]
    document_id = await world.read(put(tmp_path, "lease.pdf", make_pdf(pages)))
    chat_id = await chat_about(world, document_id, prompt="Be kind.")
    reply = await world.ask_chat(chat_id, QUESTION)
    assert (reply.content, reply.status) == ("The rent is 4,250 euros [1].", "complete")
    grounds = reply.grounds
    assert grounds is not None
    assert (grounds.mode, grounds.dropped) == ("whole", 1)
    assert grounds.says.startswith("Whole document (")
    (citation,) = grounds.citations
    assert (citation.file, citation.page) == ("lease.pdf", 2)  # the page, not the passage's first
    text = await world.client.text(document_id, start=citation.start, end=citation.end)
    assert text.text == citation.quote == "yearly rent is 4,250 euros"
    png = await world.client.page_image(document_id, 2, start=citation.start, end=citation.end)
    plain = await world.client.page_image(document_id, 2)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png != plain
    assert await world.client.page_image(document_id, 2) == plain

    fit = await world.client.fit(chat_id)
    assert (fit.is_whole, fit.basis, fit.first_pages, fit.pages) == (True, "measured", 2, 2)
    again = await world.ask_chat(chat_id, "And when?", reply.id)
    assert again.grounds is not None
    stored = await world.whole.chat(chat_id)
    assert [m.grounds for m in stored.messages if m.role == "assistant"] == [grounds, again.grounds]
    first, second = (r for engine in world.models.made for r in engine.requests)  # type: ignore[union-attr]
    assert {first.key, second.key} == {KEY}
    assert isinstance(first.prompt, ChatPrompt)
    assert isinstance(second.prompt, ChatPrompt)
    assert first.prompt.tools == second.prompt.tools == ()
    # What was said before, the documents included, is the beginning of the next prompt.
    assert second.prompt.messages[: len(first.prompt.messages)] == first.prompt.messages
    assert "Be kind." in str(first.prompt.messages[1]["content"])
    assert second.prompt.messages[-1]["content"] == "And when?"


async def test_another_chat_begins_with_the_same_prompt(world: World, tmp_path: Path) -> None:
    document_id = await world.read(put(tmp_path, "a.txt", ENGLISH.encode()))
    for question in (QUESTION, "Who pays?"):
        await world.ask_chat(await chat_about(world, document_id), question)
    one, two = world.prompts()
    assert one.split("Question: ")[0] == two.split("Question: ")[0]


async def test_what_does_not_fit_is_searched_or_its_first_pages_are_used(
    world: World, tmp_path: Path
) -> None:
    path = put(tmp_path, "long.txt", (FILLER + ENGLISH + "\n\n" + FILLER).encode())
    document_id = await world.read(path)
    chat_id = await chat_about(world, document_id)
    fit = await world.client.fit(chat_id)
    assert (fit.is_whole, fit.basis, fit.model) == (False, "estimated", "tiny")
    assert fit.document_tokens > fit.limit_tokens
    reply = await world.ask_chat(chat_id, QUESTION)
    assert reply.grounds is not None
    assert reply.grounds.mode == "searched"
    assert re.fullmatch(r"\d+ passages of 1 file", reply.grounds.says)
    assert reply.grounds.citations[0].quote == "yearly rent is 4,250 euros"
    await world.client.set_chat(chat_id, choice="first")
    other = await world.ask_chat(chat_id, "Who speaks of gardens?", reply.id)
    assert other.grounds is not None
    assert other.grounds.mode == "first"
    assert re.fullmatch(r"The first \d % of the text", other.grounds.says)
    assert "Paragraph 1 speaks" in world.prompts()[-2] + world.prompts()[-1]


async def test_a_count_reads_every_passage(world: World, tmp_path: Path) -> None:
    text = f"{ENGLISH}\n\n{FILLER}{ENGLISH}\n\n"
    chat_id = await chat_about(world, await world.read(put(tmp_path, "long.txt", text.encode())))
    reply = await world.ask_chat(chat_id, "How many rents are there in the documents?")
    grounds = reply.grounds
    assert grounds is not None
    assert grounds.mode == "all"
    assert grounds.says == f"Read all {grounds.passages} passages of 1 file"
    last = world.prompts()[-1]
    assert "Count of the notes: 1" in last
    assert len(world.prompts()) > 3
    assert grounds.citations[0].quote == "yearly rent is 4,250 euros"


async def test_nothing_is_said_from_nothing(world: World, tmp_path: Path) -> None:
    scan = await world.read(put(tmp_path, "scan.pdf", make_pdf([[]])))
    chat_id = await chat_about(world, scan)
    reply = await world.ask_chat(chat_id, QUESTION)
    assert (reply.content, reply.status) == ("Not in the documents.", "complete")
    assert reply.grounds is not None
    assert reply.grounds.is_absent
    assert "scan.pdf" in reply.grounds.notes[0]
    await world.client.set_chat(chat_id, documents=[])
    plain = await world.ask_chat(chat_id, "Hello", reply.id)
    assert plain.grounds is None
    assert plain.content == MARKED


async def test_a_collection_answers_in_any_chat_and_goes_with_it(
    world: World, tmp_path: Path
) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "lease.txt").write_text(ENGLISH)
    made = await world.client.create_collection("Law", [str(folder)])
    await world.until_phase(made.id, "ready")
    chat_id = await chat_about(world)
    attached = await world.client.set_chat(chat_id, collections=[made.id])
    assert [c.name for c in attached.collections] == ["Law"]
    reply = await world.ask_chat(chat_id, QUESTION)
    assert reply.grounds is not None
    assert reply.grounds.citations[0].file == "lease.txt"
    await world.client.remove_collection(made.id)
    assert (await world.client.of_chat(chat_id)).collections == ()
    with pytest.raises(AppError) as error:
        await world.client.set_chat(chat_id, collections=[made.id])
    assert error.value.code == "not_found"
    with pytest.raises(AppError) as error:
        await world.client.set_chat("none", documents=[])
    assert error.value.code == "not_found"


async def test_a_chosen_reranker_looks_again_and_another_embedder_asks_for_a_rebuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_models, "does_rank", lambda path: path.stem == "ranker")
    folder = tmp_path / "papers"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text(FILLER[:60_000] + ENGLISH)
    kinds = ("vectors", "other", "ranker")
    async with http_world(tmp_path / "house", answer, kinds) as world:
        known = await world.client.abilities()
        assert (known.embedders, known.rerankers) == (("other", "vectors"), ("ranker",))
        assert (known.embedder, known.reranker) == ("other", "")
        made = await world.client.create_collection("Law", [str(folder)])
        await world.until_phase(made.id, "ready")
        chosen = await world.client.choose_model("reranker", "ranker")
        assert chosen.reranker == "ranker"
        assert world.models is not None
        before = len(world.models.made)
        chat_id = await chat_about(world)
        await world.client.set_chat(chat_id, collections=[made.id])
        reply = await world.ask_chat(chat_id, QUESTION)
        assert reply.grounds is not None
        assert (reply.grounds.mode, reply.grounds.notes) == ("searched", ())
        assert len(world.models.made) == before + 2  # the ranker and the model that answers
        await world.client.choose_model("embedder", "vectors")
        stale = await world.client.collection(made.id)
        assert stale.embedder == "other"
        assert "vectors is chosen now" in stale.stale
        noted = await world.ask_chat(chat_id, "Who pays the rent?", reply.id)
        assert noted.grounds is not None
        assert "Rebuild the collection" in noted.grounds.notes[0]
        await world.client.rebuild_collection(made.id)
        again = await world.until_phase(made.id, "ready")
        assert (again.embedder, again.stale) == ("vectors", "")
        assert again.embedded == again.passages


async def test_reading_everything_tells_how_far_it_is_and_can_be_stopped(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with http_world(tmp_path / "house", lambda _request: [Pause(gate), "None"]) as world:
        path = put(tmp_path, "long.txt", FILLER.encode())
        chat_id = await chat_about(world, await world.read(path))
        state = await world.whole.state()
        sent = await world.whole.send(
            chat_id, "List all deadlines", parent_id=None, token="stopped"
        )
        async with asyncio.timeout(LIMIT_S):
            async for envelope in world.whole.events(state.seq):
                event = envelope.event
                if isinstance(event, ReplyProgress) and event.phase == "reading":
                    assert 0 <= event.done < event.total
                    await world.whole.stop_reply(sent.reply.id)
                if isinstance(event, ReplyFinished):
                    break
        reply = await world.whole.message(sent.reply.id)
        assert (reply.status, reply.content) == ("stopped", "")
        assert world.models is not None
        assert len(world.models.made[-1].cancelled) == 1
