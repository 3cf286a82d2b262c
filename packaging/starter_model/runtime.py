"""Runs an exported file with llama.cpp, as plain as can be: tokens in, scores or tokens out."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Self

import llama_cpp
import numpy as np
from numpy.typing import NDArray


class Runtime:
    """A loaded file; greedy."""

    def __init__(self, path: Path, *, threads: int = 2, context_tokens: int = 4096) -> None:
        self._llama = llama_cpp.Llama(
            str(path),
            n_ctx=context_tokens,
            n_batch=512,
            n_threads=threads,
            n_threads_batch=threads,
            logits_all=True,
            verbose=False,
        )
        self._end = self.tokens("<|im_end|>")[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._llama.close()

    def tokens(self, text: str) -> list[int]:
        """Return a text's tokens; special tokens are read as such."""
        found: list[int] = self._llama.tokenize(text.encode(), add_bos=False, special=True)
        return found

    def best(self, tokens: list[int]) -> NDArray[np.int64]:
        """Return the likeliest next token after each token."""
        self._llama.reset()
        self._llama.eval(tokens)
        return np.asarray(self._llama.scores[: len(tokens)]).argmax(-1)

    def answer(self, prompt: str, limit: int = 200) -> tuple[bytes, bool]:
        """Return what the model says, greedily, and whether it ended by itself."""
        self._llama.reset()
        self._llama.eval(self.tokens(prompt))
        said: list[int] = []
        while len(said) < limit:
            token = int(np.argmax(self._llama.scores[self._llama.n_tokens - 1]))
            if token == self._end:
                return self._bytes(said), True
            said.append(token)
            self._llama.eval([token])
        return self._bytes(said), False

    def rate(self, prompt: str, count: int) -> float:
        """Return how many tokens a second are generated after a prompt, whatever they are."""
        self._llama.reset()
        self._llama.eval(self.tokens(prompt))
        started = perf_counter()
        for _ in range(count):
            token = int(np.argmax(self._llama.scores[self._llama.n_tokens - 1]))
            self._llama.eval([token])
        return count / (perf_counter() - started)

    def _bytes(self, tokens: list[int]) -> bytes:
        return bytes(self._llama.detokenize(tokens, special=True))
