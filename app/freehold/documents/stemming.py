"""Words as the search sees them: folded, and cut to their stems in English and Russian."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

import snowballstemmer

_WORD: Final = re.compile(r"\w+")
_CYRILLIC: Final = re.compile(r"[а-яё]")
_english: Final = snowballstemmer.stemmer("english")
_russian: Final = snowballstemmer.stemmer("russian")
# Words that are in nearly every passage say nothing in a question.
_COMMON: Final = frozenset(
    _WORD.findall(
        "a an and are as at be by do does did for from has have how in is it its of on or that the"
        " there this to was were what when where which who whom whose why will with"
        " и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по ее"
        " от из о ли или для это при чему какой какая какое какие каков кто где когда сколько много"
    )
)
MAX_QUERY_STEMS: Final = 64


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """Return the stem of one folded word."""
    stemmer = _russian if _CYRILLIC.search(word) else _english
    return str(stemmer.stemWord(word))


def fold(text: str) -> str:
    """Return a text in lower case, compatibility characters replaced, ё as е."""
    return unicodedata.normalize("NFKC", text).casefold().replace("ё", "е")


def words(text: str) -> list[str]:
    """Return the folded words of a text in order."""
    return _WORD.findall(fold(text))


def stems(text: str) -> list[str]:
    """Return the stems of a text's words in order."""
    return [stem(word) for word in words(text)]


def query_stems(question: str) -> tuple[str, ...]:
    """Return the stems to search for, each once; common words only if there are no others."""
    every = words(question)
    telling = [word for word in every if word not in _COMMON] or every
    return tuple(dict.fromkeys(stem(word) for word in telling))[:MAX_QUERY_STEMS]
