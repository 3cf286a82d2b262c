"""The tokenizer: byte-level BPE with the `kimi-k2` way of cutting text into words.

llama.cpp cuts by code of its own, which does not part letters by case as Kimi's published
pattern does; the pattern here is what it does.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from freehold.library.model_maker.vocabulary import KIMI_SPECIALS
from starter_model.conversation import Conversation, render
from starter_model.guide_items import GuideItem
from starter_model.mixture import conversations

SIZE: Final = 4096
SPECIALS: Final = KIMI_SPECIALS
WORDS: Final = (
    r"\p{Han}+|[^\r\n\p{L}\p{N}]?\p{L}+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SAMPLE_CONVERSATIONS: Final = 12_000
# The guide is a small part of the sample; said again it gets whole words of its own.
GUIDE_REPEATS: Final = 12
FILE: Final = Path(__file__).parent / "tokenizer.json"


def train_tokenizer(items: tuple[GuideItem, ...], size: int = SIZE) -> Tokenizer:
    """Return a tokenizer learned from the text the model is trained on."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=3,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(items), trainer)
    tokenizer.add_special_tokens(list(SPECIALS))
    return tokenizer


def _texts(items: tuple[GuideItem, ...]) -> Iterable[str]:
    for conversation in islice(conversations(items, "vocabulary"), SAMPLE_CONVERSATIONS):
        yield from _plain(conversation)
    for item in items:
        for text in (item.answer, *item.questions):
            yield from [text] * GUIDE_REPEATS


def _plain(conversation: Conversation) -> Iterable[str]:
    """Yield the text between the special tokens."""
    for piece in render(conversation):
        text = piece.text
        for special in SPECIALS:
            text = text.replace(special, "\0")
        yield from (part for part in text.split("\0") if part)


def read_tokenizer(path: Path = FILE) -> Tokenizer:
    """Return the committed tokenizer."""
    return Tokenizer.from_file(str(path))
