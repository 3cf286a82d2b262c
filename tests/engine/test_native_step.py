"""The batched sampling step, grammars in it, log probabilities and memory figures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

import llama_cpp
import pytest

from doubles.models import tiny_model
from freehold.engine.chat_values import GrammarConstraint, GrammarTrigger
from freehold.engine.native_step import (
    LogprobReader,
    SampleStep,
    TokenSampler,
    memory_breakdown,
    special_texts,
    token_piece,
)
from freehold.errors import AppError

pytestmark = pytest.mark.engine

SEQUENCES = 4


@dataclass
class Loaded:
    """A tiny model with a context, driven by hand."""

    model: int
    context: int

    def __post_init__(self) -> None:
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)

    def tokenize(self, text: str) -> list[int]:
        buffer = (llama_cpp.llama_token * (len(text) + 16))()
        data = text.encode()
        count = llama_cpp.llama_tokenize(
            self.vocab, data, len(data), buffer, len(buffer), False, True
        )
        return buffer[:count]

    def decode(self, rows: list[tuple[int, int, int]]) -> None:
        """Compute (token, position, sequence) rows, with logits for each."""
        batch = llama_cpp.llama_batch_init(len(rows), 0, 1)
        batch.n_tokens = len(rows)
        for at, (token, position, sequence) in enumerate(rows):
            batch.token[at] = token
            batch.pos[at] = position
            batch.n_seq_id[at] = 1
            batch.seq_id[at][0] = sequence
            batch.logits[at] = 1
        assert llama_cpp.llama_decode(self.context, batch) == 0
        llama_cpp.llama_batch_free(batch)

    def reset(self) -> None:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def logits(self, index: int) -> list[float]:
        row = llama_cpp.llama_get_logits_ith(self.context, index)
        return row[: llama_cpp.llama_vocab_n_tokens(self.vocab)]

    def chain(self, *, greedy: bool = True, seed: int = 1) -> int:
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        sampler = (
            llama_cpp.llama_sampler_init_greedy()
            if greedy
            else llama_cpp.llama_sampler_init_dist(seed)
        )
        llama_cpp.llama_sampler_chain_add(chain, sampler)
        return chain  # type: ignore[no-any-return]

    def write(self, sampler: TokenSampler, limit: int = 60) -> tuple[str, bool]:
        """Generate from a fresh context; return the text and whether it ended in a dead end."""
        self.reset()
        step = SampleStep(self.context, 1)
        pieces = []
        token, position = self.tokenize("a")[0], 0
        for position in range(limit):
            self.decode([(token, position, 0)])
            (sampled,) = step.run([sampler], [0])
            if sampled.ended:
                return b"".join(pieces).decode("utf-8", "replace"), sampled.dead_end
            pieces.append(sampled.piece)
            token = sampled.token
        return b"".join(pieces).decode("utf-8", "replace"), False


@pytest.fixture(scope="module")
def loaded() -> Iterator[Loaded]:
    llama_cpp.llama_log_set(_SILENT, None)
    model = llama_cpp.llama_model_load_from_file(
        str(tiny_model()).encode(), llama_cpp.llama_model_default_params()
    )
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = 512
    parameters.n_seq_max = SEQUENCES
    parameters.n_threads = parameters.n_threads_batch = 1
    context = llama_cpp.llama_init_from_model(model, parameters)
    yield Loaded(model, context)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)


@llama_cpp.llama_log_callback
def _SILENT(level: int, text: bytes, data: object) -> None:
    """Swallow llama.cpp's log."""


def test_samples_every_sequence_in_one_call(loaded: Loaded) -> None:
    loaded.reset()
    tokens = loaded.tokenize("hello world of words")[:SEQUENCES]
    loaded.decode([(token, 0, sequence) for sequence, token in enumerate(tokens)])
    samplers = [TokenSampler(loaded.model, loaded.chain()) for _ in tokens]
    step = SampleStep(loaded.context, SEQUENCES)
    indices = list(range(len(tokens)))
    sampled = step.run(samplers, indices)
    for index, one in zip(indices, sampled, strict=True):
        logits = loaded.logits(index)
        assert one.token == max(range(len(logits)), key=logits.__getitem__)
        expected = b"" if one.ended else token_piece(loaded.model, one.token)
        assert one.piece == expected
    backwards = step.run(samplers[::-1], indices[::-1])
    assert [one.token for one in backwards] == [one.token for one in sampled[::-1]]
    for sampler in samplers:
        sampler.close()
        sampler.close()


def test_refuses_wrong_use(loaded: Loaded) -> None:
    step = SampleStep(loaded.context, 1)
    with TokenSampler(loaded.model, loaded.chain()) as sampler:
        with pytest.raises(ValueError, match="logit indices"):
            step.run([sampler], [])
        with pytest.raises(AppError) as raised:
            step.run([sampler], [4096])
        assert raised.value.code == "internal"
    with pytest.raises(ValueError, match="closed"):
        step.run([sampler], [0])


def test_a_seed_repeats(loaded: Loaded) -> None:
    texts = []
    for seed in (7, 7, 8):
        with TokenSampler(loaded.model, loaded.chain(greedy=False, seed=seed)) as sampler:
            texts.append(loaded.write(sampler, 20)[0])
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_a_grammar_binds(loaded: Loaded) -> None:
    grammar = r'root ::= "{\"answer\": " [1-9] [0-9]{0,2} "}"'
    for seed in range(5):
        with TokenSampler(
            loaded.model,
            loaded.chain(greedy=False, seed=seed),
            GrammarConstraint(grammar=grammar),
        ) as sampler:
            text, dead_end = loaded.write(sampler)
        assert not dead_end
        assert 0 <= json.loads(text)["answer"] < 1000


@pytest.mark.parametrize(
    "grammar", ['root ::= root "a"', "root ::= (", 'other ::= "a"', "root ::= missing", ""]
)
def test_a_bad_grammar_is_an_error(loaded: Loaded, grammar: str) -> None:
    with pytest.raises(AppError) as raised:
        TokenSampler(loaded.model, loaded.chain(), GrammarConstraint(grammar=grammar or "\n"))
    assert raised.value.code == "invalid_grammar"


@pytest.mark.parametrize("greedy", [True, False])
def test_a_grammar_without_a_way_on_ends_the_sequence_only(loaded: Loaded, greedy: bool) -> None:
    """The grammar wants a token that the vocabulary does not have."""
    constraint = GrammarConstraint(grammar='root ::= "ab" <[9999999]> "c"')
    stuck = TokenSampler(loaded.model, loaded.chain(greedy=greedy), constraint)
    assert loaded.write(stuck) == ("ab", True)
    tokens = loaded.tokenize("two words")[:2]
    loaded.reset()
    loaded.decode([(token, 0, sequence) for sequence, token in enumerate(tokens)])
    with TokenSampler(loaded.model, loaded.chain()) as free:
        still_stuck, goes_on = SampleStep(loaded.context, 2).run([stuck, free], [0, 1])
    assert still_stuck.dead_end
    assert not goes_on.dead_end
    stuck.close()


def test_a_lazy_grammar_that_does_not_fit_sets_the_answer_free(loaded: Loaded) -> None:
    word = loaded.tokenize("<|tool_call_begin|>")[0]
    constraint = GrammarConstraint(
        grammar='root ::= "something else"',
        lazy=True,
        triggers=(GrammarTrigger(kind="word", value="tool_call"),),
    )
    with TokenSampler(loaded.model, _forced_chain(word), constraint) as sampler:
        text, dead_end = loaded.write(sampler, 4)
    assert text == "<|tool_call_begin|>" * 4
    assert not dead_end


def test_a_lazy_grammar_waits_for_its_word(loaded: Loaded) -> None:
    """Forced to write the word by a bias, the model must then follow the grammar."""
    word = "<|tool_call_begin|>"
    constraint = GrammarConstraint(
        grammar=f'root ::= "{word}" "functions.f:0" "<|tool_call_end|>"',
        lazy=True,
        triggers=(GrammarTrigger(kind="word", value=word),),
    )
    free, _ = loaded.write(TokenSampler(loaded.model, loaded.chain()), 10)
    lazy_sampler = TokenSampler(loaded.model, loaded.chain(), constraint)
    lazy, _ = loaded.write(lazy_sampler, 10)
    assert lazy == free, "an untriggered grammar must change nothing"
    lazy_sampler.close()

    begin = loaded.tokenize(word)
    assert len(begin) == 1
    with TokenSampler(loaded.model, _forced_chain(begin[0]), constraint) as sampler:
        text, dead_end = loaded.write(sampler, 40)
    assert not dead_end
    assert text == f"{word}functions.f:0<|tool_call_end|>"


def test_a_lazy_grammar_sleeps_inside_a_thought(loaded: Loaded) -> None:
    word = "<|tool_call_begin|>"
    constraint = GrammarConstraint(
        grammar=f'root ::= "{word}" "x"',
        lazy=True,
        triggers=(GrammarTrigger(kind="word", value=word),),
        thinking_start="<think>",
        thinking_ends=("</think>",),
        thinking_prefill="<|im_assistant|>assistant<|im_middle|><think>",
    )
    begin = loaded.tokenize(word)[0]
    with TokenSampler(loaded.model, _forced_chain(begin), constraint) as sampler:
        text, _ = loaded.write(sampler, 5)
    assert text == word * 5, "inside the thought the word starts nothing"


def _forced_chain(token: int) -> int:
    """Return a chain that picks `token` whenever it may."""
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    bias = (llama_cpp.llama_logit_bias * 1)(llama_cpp.llama_logit_bias(token, 1000.0))
    llama_cpp.llama_sampler_chain_add(
        chain, llama_cpp.llama_sampler_init_logit_bias(1 << 20, 1, bias)
    )
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_greedy())
    return chain  # type: ignore[no-any-return]


def test_log_probabilities_are_those_of_the_softmax(loaded: Loaded) -> None:
    loaded.reset()
    tokens = loaded.tokenize("two words")[:2]
    loaded.decode([(token, 0, sequence) for sequence, token in enumerate(tokens)])
    chosen = [17, 300]
    found = LogprobReader(loaded.model, loaded.context).read([0, 1], chosen, 5)
    for index, (token, logprob) in enumerate(zip(chosen, found, strict=True)):
        logits = loaded.logits(index)
        total = math.fsum(math.exp(value) for value in logits)
        assert logprob.logprob == pytest.approx(math.log(math.exp(logits[token]) / total), abs=1e-4)
        best = sorted(logits, reverse=True)[:5]
        assert [top[2] for top in logprob.top] == pytest.approx(
            [math.log(math.exp(value) / total) for value in best], abs=1e-4
        )
        assert bytes(logprob.bytes) == token_piece(loaded.model, token)
    assert LogprobReader(loaded.model, loaded.context).read([0], [3], 0)[0].top == ()


def test_names_special_tokens(loaded: Loaded) -> None:
    texts = special_texts(loaded.model)
    assert "<|im_end|>" in texts
    assert "<|tool_call_begin|>" in texts
    assert "hello" not in texts
    begin = loaded.tokenize("<|im_end|>")
    assert token_piece(loaded.model, begin[0]) == b"<|im_end|>"
    assert token_piece(loaded.model, begin[0], special=False) == b""
    assert token_piece(loaded.model, 1 << 30) == b""


def test_memory_figures_name_what_takes_it(loaded: Loaded) -> None:
    found = memory_breakdown(loaded.context)
    # Above the file's size where llama.cpp keeps repacked copies of weights.
    assert 0.5 < found["CPU"]["model"] / tiny_model().stat().st_size < 3
    assert found["CPU"]["context"] > 0
    assert set(found["CPU"]) == {"model", "context", "compute"}
