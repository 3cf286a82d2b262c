"""llama.cpp loads what the maker writes, and random answers are varied."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from doubles.models import ending_model, small_model, tiny_embedder, tiny_llama, tiny_model

pytestmark = pytest.mark.engine
llama = pytest.importorskip("llama_cpp")

PROMPT = "<|im_user|>user<|im_middle|>Who are you?<|im_end|><|im_assistant|>assistant<|im_middle|>"


class Loaded:
    """A model and a context of llama.cpp's low-level API."""

    def __init__(self, path: Path, *, embeddings: bool = False) -> None:
        self.model = llama.llama_model_load_from_file(
            str(path).encode(), llama.llama_model_default_params()
        )
        assert self.model
        self.vocabulary = llama.llama_model_get_vocab(self.model)
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = 1024
        parameters.n_threads = parameters.n_threads_batch = 1
        parameters.embeddings = embeddings
        self.context = llama.llama_init_from_model(self.model, parameters)
        assert self.context

    def close(self) -> None:
        llama.llama_free(self.context)
        llama.llama_model_free(self.model)

    def tokens(self, text: str) -> list[int]:
        data = text.encode()
        found = (llama.llama_token * (len(data) + 8))()
        count = llama.llama_tokenize(
            self.vocabulary, data, len(data), found, len(found), False, True
        )
        return list(found[:count])

    def piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        count = llama.llama_token_to_piece(self.vocabulary, token, buffer, 64, 0, True)
        return buffer.raw[:count]

    def greedy(self, text: str, count: int) -> list[int]:
        llama.llama_memory_clear(llama.llama_get_memory(self.context), True)
        tokens = self.tokens(text)
        sampler = llama.llama_sampler_init_greedy()
        answer: list[int] = []
        batch = (llama.llama_token * len(tokens))(*tokens)
        while len(answer) < count:
            assert (
                llama.llama_decode(self.context, llama.llama_batch_get_one(batch, len(batch))) == 0
            )
            answer.append(llama.llama_sampler_sample(sampler, self.context, -1))
            batch = (llama.llama_token * 1)(answer[-1])
        llama.llama_sampler_free(sampler)
        return answer


@pytest.fixture
def load() -> Iterator[Callable[..., Loaded]]:
    def quiet(level: int, text: bytes, data: Any) -> None:
        return None

    callback = llama.llama_log_callback(quiet)
    llama.llama_log_set(callback, ctypes.c_void_p(0))
    loaded: list[Loaded] = []

    def make(path: Path, **options: Any) -> Loaded:
        loaded.append(Loaded(path, **options))
        return loaded[-1]

    yield make
    for item in loaded:
        item.close()
    llama.llama_log_set(llama.llama_log_callback(), ctypes.c_void_p(0))


@pytest.mark.parametrize("model", [tiny_model, tiny_llama, small_model])
def test_text_makes_the_round_trip(load: Callable[..., Loaded], model: Callable[[], Path]) -> None:
    loaded = load(model())
    for text in (
        "Hello, world! How are you today?",
        "naïve café 日本語 🙂 \n\n\t x=1;\r\n",
        "def f(a):\n    return a**2\n",
        "".join(chr(code) for code in range(1, 0x250)),
    ):
        pieces = [loaded.piece(token) for token in loaded.tokens(text)]
        assert b"".join(pieces).decode() == text
    assert len(loaded.tokens(" river window the library")) == 4


@pytest.mark.parametrize("model", [tiny_model, tiny_llama, small_model])
def test_greedy_answers_are_varied_and_repeatable(
    load: Callable[..., Loaded], model: Callable[[], Path]
) -> None:
    loaded = load(model())
    answer = loaded.greedy(PROMPT, 120)
    assert len(set(answer)) > 50
    assert not any(llama.llama_vocab_is_eog(loaded.vocabulary, token) for token in answer)
    text = b"".join(loaded.piece(token) for token in answer).decode()
    assert len(text.split()) > 80
    assert loaded.greedy(PROMPT, 120) == answer
    other = loaded.greedy(PROMPT.replace("Who", "Where"), 120)
    assert other != answer


def test_answers_of_the_ending_model_end(load: Callable[..., Loaded]) -> None:
    loaded = load(ending_model())
    lengths = []
    for word in ("Who", "Where", "When", "How", "Why", "What", "Which", "Whose"):
        answer = loaded.greedy(PROMPT.replace("Who", word), 400)
        ends = [llama.llama_vocab_is_eog(loaded.vocabulary, token) for token in answer]
        lengths.append(ends.index(True) if True in ends else 400)
    assert 5 < sorted(lengths)[4] < 100, lengths


def test_special_tokens(load: Callable[..., Loaded]) -> None:
    kimi, dense = load(tiny_model()), load(tiny_llama())
    for special in ("<|im_end|>", "<|im_middle|>", "<|tool_call_begin|>", "[BOS]"):
        assert len(kimi.tokens(special)) == 1
    (end,) = kimi.tokens("<|im_end|>")
    assert llama.llama_vocab_eos(kimi.vocabulary) == end
    assert llama.llama_vocab_is_eog(kimi.vocabulary, end)
    assert llama.llama_vocab_fim_pre(dense.vocabulary) == dense.tokens("<|fim_prefix|>")[0]
    assert llama.llama_model_chat_template(kimi.model, None)


def test_embeddings_know_word_overlap(load: Callable[..., Loaded]) -> None:
    loaded = load(tiny_embedder(), embeddings=True)
    assert llama.llama_pooling_type(loaded.context) == llama.LLAMA_POOLING_TYPE_MEAN

    def embed(text: str) -> Any:
        tokens = loaded.tokens(text)
        array = (llama.llama_token * len(tokens))(*tokens)
        batch = llama.llama_batch_get_one(array, len(tokens))
        assert llama.llama_decode(loaded.context, batch) == 0
        size = llama.llama_model_n_embd(loaded.model)
        vector = np.ctypeslib.as_array(
            llama.llama_get_embeddings_seq(loaded.context, 0), (size,)
        ).copy()
        return vector / np.linalg.norm(vector)

    near = embed("the river and the sea") @ embed("the sea and a river")
    far = embed("the river and the sea") @ embed("machine language number")
    assert near > far + 0.2
