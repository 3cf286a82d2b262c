"""The real worker with a real, tiny model: streams, prefix reuse, cancelling, limits."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from doubles.models import tiny_embedder, tiny_llama, tiny_model
from freehold.engine.process import ProcessEngine
from freehold.engine.protocol import Delta, Done, Failed, GenerateEvent, PrefillProgress, Queued
from freehold.engine.requests import (
    BufferOverride,
    ChatPrompt,
    GenerateRequest,
    InfillPrompt,
    LoadOptions,
    Placement,
    SamplingParams,
    TextPrompt,
)
from freehold.errors import AppError

pytestmark = pytest.mark.engine

GREEDY = SamplingParams(temperature=0, ignore_eos=True)
Likely = dict[str, float]
STORY = "The house stood on a hill above the sea, and nobody had lived in it for years. " * 20


@pytest.fixture
async def engine() -> AsyncIterator[ProcessEngine]:
    engine = ProcessEngine()
    options = LoadOptions(path=str(tiny_model()), parallel=16, context_tokens=8192, threads=1)
    await engine.load(options)
    yield engine
    await engine.close()


@pytest.fixture
async def dense() -> AsyncIterator[ProcessEngine]:
    """A model without experts: batching changes its figures only a little."""
    engine = ProcessEngine()
    await engine.load(LoadOptions(path=str(tiny_llama()), parallel=16, threads=1))
    yield engine
    await engine.close()


async def _events(engine: ProcessEngine, request: GenerateRequest) -> list[GenerateEvent]:
    return [event async for event in engine.generate(request)]


async def _answer(engine: ProcessEngine, request: GenerateRequest) -> tuple[str, Done]:
    events = await _events(engine, request)
    last = events[-1]
    assert isinstance(last, Done), last
    return "".join(e.content for e in events if isinstance(e, Delta)), last


async def _idle(engine: ProcessEngine) -> None:
    """Wait until nothing runs."""
    async with asyncio.timeout(5):
        while (await engine.stats()).running:  # noqa: ASYNC110 - another process, no event to await
            await asyncio.sleep(0.01)


def _ask(request_id: str, text: str, tokens: int = 20, **more: object) -> GenerateRequest:
    options = {"sampling": GREEDY, "max_tokens": tokens, "key": request_id, **more}
    return GenerateRequest(id=request_id, prompt=TextPrompt(text=text), **options)  # type: ignore[arg-type]


async def test_load_tells_what_the_model_is() -> None:
    engine = ProcessEngine()
    fractions: list[float] = []
    info = await engine.load(LoadOptions(path=str(tiny_model())), fractions.append)
    assert info.architecture == "deepseek2"
    assert info.vocab_size > 1000
    assert info.devices == ("CPU",)
    assert info.buffers["CPU"]["model"] > 1_000_000
    assert info.chat_template
    assert fractions[-1] == 1.0
    assert engine.pid is not None
    await engine.close()
    assert engine.pid is None


async def _likely(engine: ProcessEngine, request_id: str, text: str, **more: object) -> Likely:
    """Return the likeliest first tokens after a text, with their log probabilities."""
    events = await _events(engine, _ask(request_id, text, logprobs=20, **more))
    first = next(entry for e in events if isinstance(e, Delta) for entry in e.logprobs)
    return {token: logprob for token, _, logprob in first.top}


def _distance(first: Likely, second: Likely) -> float:
    return sum(abs(first.get(t, -9) - second.get(t, -9)) for t in first.keys() | second.keys())


async def test_sixteen_streams_at_once_are_none_mixed_up(dense: ProcessEngine) -> None:
    texts = [f"{n} {STORY[n * 7 : n * 7 + 60 + n]} {n}" for n in range(16)]
    together = await asyncio.gather(
        *(_likely(dense, f"t{n}", text, tokens=24) for n, text in enumerate(texts))
    )
    alone = [await _likely(dense, f"a{n}", text, tokens=1) for n, text in enumerate(texts)]
    for number, found in enumerate(together):
        nearest = min(range(16), key=lambda n: _distance(found, alone[n]))
        assert nearest == number


async def test_sixteen_streams_of_experts_all_finish(engine: ProcessEngine) -> None:
    asks = [_ask(f"a{n}", f"Story number {n} begins with", 24) for n in range(16)]
    answers = await asyncio.gather(*(_answer(engine, ask) for ask in asks))
    assert all(done.usage.completion_tokens == 24 for _, done in answers)
    assert all(done.finish_reason == "length" for _, done in answers)
    assert all(text for text, _ in answers)


async def test_a_follow_up_turn_never_computes_its_history_again(engine: ProcessEngine) -> None:
    text, first = await _answer(engine, _ask("1", STORY, 30, key="me"))
    _, second = await _answer(engine, _ask("2", STORY + text + " And then", 10, key="me"))
    assert first.usage.cached_tokens == 0
    # The tokeniser may cut the seam of question and answer in another way than it was generated.
    assert second.usage.cached_tokens >= first.usage.prompt_tokens - 1
    _, other = await _answer(engine, _ask("3", STORY + text + " And then", 10, key="other"))
    assert other.usage.cached_tokens == 0


async def test_a_reused_prefix_answers_like_a_fresh_one(dense: ProcessEngine) -> None:
    story = STORY[:600]
    await _answer(dense, _ask("1", story + "One", 30, key="me"))
    reused = await _likely(dense, "2", story + "Two", key="me")
    fresh = await _likely(dense, "3", story + "Two", key="other")
    another = await _likely(dense, "4", story[:300] + "Three", key="third")
    assert _distance(reused, fresh) < _distance(reused, another) / 2


async def test_concurrent_requests_of_one_key_share_their_prefix(engine: ProcessEngine) -> None:
    answers = await asyncio.gather(
        *(_answer(engine, _ask(f"n{n}", STORY, 8, key="me")) for n in range(4))
    )
    cached = sorted(done.usage.cached_tokens for _, done in answers)
    prompt = answers[0][1].usage.prompt_tokens
    assert cached[0] == 0
    assert cached[1] > prompt - 20


async def test_closing_the_stream_frees_the_slot_and_spares_the_others(
    engine: ProcessEngine,
) -> None:
    other = asyncio.create_task(_answer(engine, _ask("other", "Another story", 200)))
    stream = engine.generate(_ask("left", "A story", 4000))
    async for event in stream:
        if isinstance(event, Delta):
            break
    await stream.aclose()  # type: ignore[attr-defined]
    _, done = await other
    assert done.usage.completion_tokens == 200
    await _idle(engine)


async def test_a_cancelled_request_says_so(engine: ProcessEngine) -> None:
    events: list[GenerateEvent] = []
    async for event in engine.generate(_ask("c", "A story", 4000)):
        events.append(event)
        if isinstance(event, Delta):
            await engine.cancel("c")
    last = events[-1]
    assert isinstance(last, Done)
    assert last.finish_reason == "cancelled"
    assert 0 < last.usage.completion_tokens < 4000


async def test_a_long_prompt_can_be_cancelled_and_a_short_one_passes_it(
    engine: ProcessEngine,
) -> None:
    long = engine.generate(_ask("long", STORY * 11, 5, key="long"))
    first = await anext(long)
    assert isinstance(first, PrefillProgress)
    assert first.total > 5000
    _, done = await _answer(engine, _ask("short", "Hello", 3))
    assert done.finish_reason == "length"
    await long.aclose()  # type: ignore[attr-defined]
    await _idle(engine)


async def test_those_who_wait_are_told_how_many_are_before_them(engine: ProcessEngine) -> None:
    running = [asyncio.create_task(_events(engine, _ask(f"r{n}", "A", 400))) for n in range(16)]
    waiting = [asyncio.create_task(_events(engine, _ask(f"w{n}", "B", 2))) for n in range(3)]
    told = [[e for e in await task if isinstance(e, Queued)] for task in waiting]
    await asyncio.gather(*running)
    assert [places[0].ahead for places in told] == [0, 1, 2]
    assert all(any(place.waiting == 3 for place in places) for places in told)


async def test_a_prompt_over_the_context_is_refused_with_the_numbers(
    engine: ProcessEngine,
) -> None:
    events = await _events(engine, _ask("big", STORY * 40))
    (failed,) = events
    assert isinstance(failed, Failed)
    assert failed.error.code == "context_length_exceeded"
    assert failed.error.detail["context_tokens"] == 8192
    assert failed.error.detail["prompt_tokens"] > 8192
    assert "8,192" in failed.error.message


async def test_generation_ends_with_length_at_the_end_of_the_context() -> None:
    engine = ProcessEngine()
    await engine.load(LoadOptions(path=str(tiny_model()), parallel=2, context_tokens=512))
    asks = [_ask(f"e{n}", f"Story {n}", 100_000) for n in range(4)]
    for text, done in await asyncio.gather(*(_answer(engine, ask) for ask in asks)):
        assert done.finish_reason == "length"
        assert done.usage.prompt_tokens + done.usage.completion_tokens == 512
        assert text
    await engine.close()


async def test_a_stop_string_ends_the_text_before_it(engine: ProcessEngine) -> None:
    text, _ = await _answer(engine, _ask("1", "A story", 60))
    stop = text[len(text) // 2 :][:6]
    expected = text[: text.index(stop)]
    stopped, done = await _answer(engine, _ask("2", "A story", 4000, stop=(stop, "never")))
    assert stopped == expected
    assert done.finish_reason == "stop"
    assert done.stop_text == stop


async def test_the_seed_decides(engine: ProcessEngine) -> None:
    def seeded(name: str, seed: int) -> GenerateRequest:
        sampling = SamplingParams(seed=seed, temperature=1.5, top_k=0)
        return _ask(name, "A story", 30, sampling=sampling)

    one, _ = await _answer(engine, seeded("1", 7))
    same, _ = await _answer(engine, seeded("2", 7))
    other, _ = await _answer(engine, seeded("3", 8))
    assert one == same != other


async def test_a_grammar_holds_and_a_broken_one_is_refused(engine: ProcessEngine) -> None:
    sampling = SamplingParams(seed=1)
    text, done = await _answer(
        engine, _ask("g", "Yes or no?", 30, grammar='root ::= "yes" | "no"', sampling=sampling)
    )
    assert text in ("yes", "no")
    assert done.finish_reason == "stop"
    for number, grammar in enumerate(
        ("root = x", "root ::= nothing", "root ::= root", "(" * 40 + ")" * 40, "x" * 70_000)
    ):
        (failed,) = await _events(engine, _ask(f"bad{number}", "Hi", 5, grammar=grammar))
        assert isinstance(failed, Failed)
        assert failed.error.code == "invalid_grammar", grammar[:20]
    assert (await _answer(engine, _ask("after", "Hi", 3)))[1].usage.completion_tokens == 3


async def test_json_schema_gives_json(engine: ProcessEngine) -> None:
    schema = '{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"]}'
    text, _ = await _answer(
        engine, _ask("j", "Answer:", 60, json_schema=schema, sampling=SamplingParams(seed=1))
    )
    assert text.replace(" ", "").replace("\n", "").startswith('{"ok":')


async def test_log_probabilities_come_with_alternatives(engine: ProcessEngine) -> None:
    events = await _events(engine, _ask("l", "A story", 5, logprobs=3))
    entries = [entry for e in events if isinstance(e, Delta) for entry in e.logprobs]
    assert len(entries) == 5
    for entry in entries:
        assert entry.logprob <= 0
        assert len(entry.top) == 3
        assert entry.top[0][2] == pytest.approx(entry.logprob, abs=1e-4)  # greedy takes the first
        assert bytes(entry.bytes).decode("utf-8", "replace") == entry.token


async def test_wrong_numbers_are_refused_before_they_reach_c(engine: ProcessEngine) -> None:
    for number, sampling in enumerate(
        (
            SamplingParams(top_k=-5),
            SamplingParams(repeat_last_n=2**40),
            SamplingParams(logit_bias={10**6: 1.0}),
        )
    ):
        (failed,) = await _events(engine, _ask(f"w{number}", "Hi", 5, sampling=sampling))
        assert isinstance(failed, Failed)
        assert failed.error.code == "invalid_request"
    prompt = TextPrompt(tokens=(10**8,))
    (failed,) = await _events(engine, GenerateRequest(id="t", prompt=prompt))
    assert isinstance(failed, Failed)
    assert failed.error.code == "invalid_request"


async def test_every_sampler_runs(engine: ProcessEngine) -> None:
    many = SamplingParams(
        seed=3,
        top_n_sigma=2.0,
        typical_p=0.9,
        xtc_probability=0.5,
        dynatemp_range=0.2,
        dry_multiplier=0.8,
        repeat_penalty=1.1,
        presence_penalty=0.5,
        repeat_last_n=-1,
        logit_bias={5: -100.0},
    )
    for number, sampling in enumerate(
        (many, SamplingParams(mirostat=1, seed=1), SamplingParams(mirostat=2, seed=1))
    ):
        _, done = await _answer(engine, _ask(f"s{number}", "A story", 12, sampling=sampling))
        assert done.usage.completion_tokens > 0


async def test_a_chat_is_rendered_and_answered(engine: ProcessEngine) -> None:
    chat = ChatPrompt(messages=({"role": "user", "content": "Hello"},))
    rendered = await engine.tokenize(chat=chat)
    assert "Hello" in rendered.text
    _, done = await _answer(
        engine, GenerateRequest(id="c", prompt=chat, max_tokens=5, sampling=GREEDY)
    )
    assert done.usage.prompt_tokens == len(rendered.tokens)
    assert done.timings.first_token_s > 0


async def test_tokens_and_text_go_both_ways(engine: ProcessEngine) -> None:
    tokens = (await engine.tokenize(text="Hello there", add_special=False)).tokens
    assert (await engine.tokenize(tokens=tokens)).text == "Hello there"


async def test_infill_needs_its_tokens(engine: ProcessEngine) -> None:
    prompt = InfillPrompt(prefix="def f(", suffix="): pass")
    (failed,) = await _events(engine, GenerateRequest(id="f", prompt=prompt, max_tokens=5))
    assert isinstance(failed, Failed)
    assert failed.error.code == "not_supported"
    other = ProcessEngine()
    info = await other.load(LoadOptions(path=str(tiny_llama()), context_tokens=512))
    assert info.has_infill
    request = GenerateRequest(id="f", prompt=prompt, max_tokens=5, sampling=GREEDY)
    _, done = await _answer(other, request)
    assert done.usage.completion_tokens == 5
    await other.close()


async def test_embeddings_are_normalised_and_tell_texts_apart() -> None:
    engine = ProcessEngine()
    info = await engine.load(LoadOptions(path=str(tiny_embedder()), embeddings=True))
    inputs = tuple(f"text number {n} " * (n % 5 + 1) for n in range(40))
    embedded = await engine.embed((*inputs, inputs[0]))
    vectors = [struct.unpack(f"<{len(v) // 4}f", v) for v in embedded.vectors]
    assert len(vectors) == 41
    assert all(len(vector) == info.embedding_size for vector in vectors)
    assert all(sum(x * x for x in vector) == pytest.approx(1, abs=1e-4) for vector in vectors)
    assert vectors[0] == pytest.approx(vectors[40], abs=1e-4)
    assert vectors[0] != pytest.approx(vectors[1], abs=1e-4)
    with pytest.raises(AppError) as refused:
        await engine.embed(("word " * 5000,))
    assert refused.value.code == "context_length_exceeded"
    (failed,) = await _events(engine, _ask("g", "Hi"))
    assert isinstance(failed, Failed)
    assert failed.error.code == "not_supported"
    await engine.close()


async def test_a_chat_model_embeds_too(engine: ProcessEngine) -> None:
    answer = asyncio.create_task(_answer(engine, _ask("a", "A story", 100)))
    embedded = await engine.embed(("one", "two"))
    assert len(embedded.vectors) == 2
    assert (await answer)[1].usage.completion_tokens == 100


async def test_experts_can_be_pinned_to_the_cpu() -> None:
    engine = ProcessEngine()
    placement = Placement(
        devices=(),
        cpu_expert_layers=2,
        overrides=(BufferOverride(pattern=r"blk\.1\.attn_.*", buffer="CPU"),),
    )
    options = LoadOptions(
        path=str(tiny_model()),
        placement=placement,
        kv_type_k="bf16",
        kv_type_v="bf16",
        memory="read",
        flash_attention="off",
        threads=1,
        context_tokens=512,
    )
    await engine.load(options)
    _, done = await _answer(engine, _ask("a", "A story", 5))
    assert done.usage.completion_tokens == 5
    await engine.close()
