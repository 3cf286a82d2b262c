"""The least an engine can do, for `freehold bench engine`: llama_decode and greedy sampling.

`python -m freehold.engine.bare_loop` reads one line of JSON per measurement on standard input,
`{"streams": 4, "tokens": 128}`, and answers each with `{"tokens_per_s": …}`; no scheduler, no
text, no pipe in between.
"""

from __future__ import annotations

import json
import sys
import time

import msgspec

from freehold.engine.llama import NativeModel
from freehold.engine.llama_context import NativeContext
from freehold.engine.llama_log import NativeLog
from freehold.engine.llama_sampler import build_sampler
from freehold.engine.native_step import SampleStep
from freehold.engine.requests import LoadOptions
from freehold.engine.sampling import Stage
from freehold.engine.sequences import Sequence
from freehold.engine.steps import Chunk, Step


class BareLoop:
    """A loaded model and nothing around it."""

    def __init__(self, options: LoadOptions) -> None:
        log = NativeLog()
        self._model = NativeModel(options, log, lambda _fraction: True)
        self._context = NativeContext(self._model, options, log)
        self._sampling = SampleStep(self._context.handle, self._context.slots)

    def measure(self, prompts: list[list[int]], tokens: int) -> float:
        """Return tokens per second of `len(prompts)` sequences decoded together."""
        self._context.clear()
        sequences = [
            Sequence(id=str(slot), tokens=list(prompt), prompt_count=len(prompt), length_limit=0)
            for slot, prompt in enumerate(prompts)
        ]
        for slot, sequence in enumerate(sequences):
            sequence.slot = slot
        samplers = [
            build_sampler(self._model.handle, self._model.vocab, (Stage("greedy"),), None)
            for _ in sequences
        ]
        step = Step(prefill=[Chunk(s, 0, len(s.tokens)) for s in sequences])
        began = 0.0
        for count in range(tokens):
            status, indices = self._context.run(step)
            if status != 0:
                raise SystemExit(f"llama_decode answered {status}")
            results = self._sampling.run(samplers, indices)
            if not count:
                began = time.perf_counter()
            for sequence, result in zip(sequences, results, strict=True):
                sequence.computed = len(sequence.tokens)
                sequence.tokens.append(max(result.token, 0))
            step = Step(decode=sequences)
        took = time.perf_counter() - began
        for sampler in samplers:
            sampler.close()
        return (tokens - 1) * len(sequences) / took

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a prompt."""
        return self._model.tokenize(text, add_special=True)


def main() -> None:
    """Load the model named in the first line and measure as the others say."""
    loop = BareLoop(msgspec.json.decode(sys.stdin.readline(), type=LoadOptions))
    print(json.dumps({"ready": True}), flush=True)  # noqa: T201 - this is its protocol
    for line in sys.stdin:
        asked = json.loads(line)
        prompts = [loop.tokenize(text) for text in asked["prompts"]]
        rate = loop.measure(prompts, asked["tokens"])
        print(json.dumps({"tokens_per_s": rate}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
