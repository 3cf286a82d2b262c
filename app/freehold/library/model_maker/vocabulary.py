"""A small byte-level BPE vocabulary: all 256 bytes, some hundred words, the model's special tokens.

Every byte is a token, so any text makes the round trip exactly.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from freehold.gguf.writer import I32List, MetadataValue
from freehold.library.model_maker.blocks import Floats

NORMAL: Final = 1
CONTROL: Final = 3

KIMI_SPECIALS: Final = (
    "[BOS]", "[EOS]", "<|im_end|>", "<|im_user|>", "<|im_assistant|>", "<|start_header_id|>",
    "<|end_header_id|>", "[EOT]", "<|im_system|>", "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>",
    "<|tool_call_end|>", "<|im_middle|>", "<|media_start|>", "<|media_content|>",
    "<|media_end|>", "<|media_pad|>", "<think>", "</think>", "[UNK]", "[PAD]",
)  # fmt: skip

QWEN_SPECIALS: Final = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>",
    "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
)  # fmt: skip

# Words a random model speaks; the shorter come first, so that the longer are built on them.
_WORD_TEXT: Final = """
a I the of to and in is it on at as be by or so we he do if my up an no go me
for you are but not all can was one out day get has him his how man new now old see two way
who boy did its let put say she too use her our own any car sun sea sky air ice oil key map
box cup dog cat egg bus bed ink art law age end yes red low top far few run sit try ask
that with have this will your from they know want been good much some time very when come
here just like long make many more only over such take than them well were what year work
back call down each even find give hand high keep last left life live look made most move
must name near need next open page part plan play read real rest road room seem ship show
side song star stay stop sure tell tree turn wait walk wall warm wind wood word blue book
city door east face fact fire fish food foot form game gold gray hall head hear help hill
hold home hour idea iron lake land late line list main mark mind moon north note
about after again below could every first found great group house large learn light might
never other place plant point right river small sound south spell state still story study
table their there these thing think three under until water where which while white whole
world would write young across almost always around before better change course enough
family figure follow garden letter little machine measure morning mother mountain music
number often paper people person picture question second several simple summer system
teacher travel village voice window winter yellow another answer because between believe
children country different evening example general history however important knowledge
language library nothing perhaps present problem product remember science sentence
something sometimes sometime through together tomorrow tonight understand usually without
café naïve Zürich 日本 語 привет мир
"""
WORDS: Final = tuple(_WORD_TEXT.split())

SPOKEN_MARKS: Final = (",", ".", ".\n", "?", "!", ":", '"')
# A quote is likelier than a word: strings of a JSON answer end at some time.
QUOTE_GAIN: Final = 1.2


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens in order of their ids, and the merges that lead to them."""

    tokens: tuple[str, ...]
    merges: tuple[str, ...]
    specials: tuple[str, ...]
    spoken: frozenset[str]

    def __len__(self) -> int:
        return len(self.tokens)

    def id(self, token: str) -> int:
        """Return the id of a token as written in the file."""
        return self.tokens.index(token)

    def output_gain(self, end: str, answer_tokens: int | None) -> Floats:
        """Return how loud each token's output row is.

        Words and marks are likely; single bytes, parts of words and special tokens are not, so
        a random answer reads like words. It never ends by itself, or (answer_tokens) with the
        token `end` after about that many tokens.
        """
        gain = np.full(len(self), 0.02, np.float32)
        for index, text in enumerate(self.tokens):
            if text in self.spoken:
                gain[index] = QUOTE_GAIN if text == '"' else 1.0
        if answer_tokens is not None:
            gain[self.id(end)] = _end_gain(len(self.spoken), answer_tokens)
        return gain

    def metadata(self, pre: str) -> dict[str, MetadataValue]:
        """Return the `tokenizer.ggml.*` keys without the special tokens' ids."""
        first_special = len(self) - len(self.specials)
        kinds = [CONTROL if index >= first_special else NORMAL for index in range(len(self))]
        return {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": pre,
            "tokenizer.ggml.tokens": list(self.tokens),
            "tokenizer.ggml.token_type": I32List(kinds),
            "tokenizer.ggml.merges": list(self.merges),
        }


def _end_gain(rivals: int, answer_tokens: int) -> float:
    """Return the gain with which one row beats the best of `rivals` once in `answer_tokens`."""
    best_rival = NormalDist().inv_cdf(1 - 1 / (rivals + 1))
    once = NormalDist().inv_cdf(1 - 1 / max(answer_tokens, 3))
    return best_rival / once


def build_vocabulary(specials: Sequence[str]) -> Vocabulary:
    """Return the vocabulary every byte-level model here uses, with these special tokens."""
    alphabet = byte_letters()
    tokens = dict.fromkeys(alphabet)
    merges: dict[tuple[str, str], int] = {}
    spoken = []
    for text in [*WORDS, *SPOKEN_MARKS, *(f" {word}" for word in WORDS)]:
        token = "".join(alphabet[byte] for byte in text.encode())
        _teach(token, tokens, merges)
        if text.startswith(" ") or text in SPOKEN_MARKS:
            spoken.append(token)
    return Vocabulary(
        tokens=(*tokens, *specials),
        merges=tuple(" ".join(pair) for pair in merges),
        specials=tuple(specials),
        spoken=frozenset(spoken),
    )


def _teach(token: str, tokens: dict[str, None], merges: dict[tuple[str, str], int]) -> None:
    """Add merges until `token` is reached.

    Merges added later have lower priority and so never undo the way to an earlier token.
    """
    parts = list(token)
    while len(parts) > 1:
        pairs = [(merges.get(pair, len(merges)), at) for at, pair in enumerate(_pairs(parts))]
        _, at = min(pairs)
        pair = (parts[at], parts[at + 1])
        merges.setdefault(pair, len(merges))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
        tokens.setdefault(parts[at])


def _pairs(parts: list[str]) -> list[tuple[str, str]]:
    return list(itertools.pairwise(parts))


def byte_letters() -> list[str]:
    """Return the printable letter that stands for each byte in GPT-2's byte-level BPE."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]
