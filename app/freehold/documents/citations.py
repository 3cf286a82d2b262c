"""Citations checked against the passages: what is kept points at words that are there.

A model marks what it took from where, as `[3: "its words"]` or `[3]`. The words have to occur in
a passage; a mark without words has to stand after a sentence that the passage supports. A sentence
without a mark gets one where a passage says nearly the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import msgspec

from freehold.documents.stemming import query_stems

MIN_QUOTE_LETTERS: Final = 6
# Share of a sentence's telling words that the passage's sentence must hold.
SUPPORT_OF_MARK: Final = 0.5
SUPPORT_WITHOUT_MARK: Final = 0.75
MIN_STEMS: Final = 2
LONGEST_QUOTE: Final = 600
# Folding takes about a millisecond a passage.
MOST_SEARCHED: Final = 600

_MARK: Final = re.compile(
    r"\s*\[(?:passage\s+|passages\s+)?(\d{1,4}(?:\s*,\s*\d{1,4})*)"
    r"(?:\s*[:,]?\s*[\"“«„](?P<quote>[^\n]{1,600}?)[\"”»“])?\s*\]",
    re.I,
)
_SENTENCE: Final = re.compile(r"[^.!?…\n]+(?:[.!?…](?=\S)[^.!?…\n]*)*(?:[.!?…]+|\n|$)")
_NUMBER: Final = re.compile(r"\d+(?:[.,  ]\d+)*")
_ABSENT: Final = re.compile(
    r"^\W*(?:this is |that is |the answer is |it is )?not (?:stated |found )?in the documents?"
    r"|^\W*the (?:documents? do(?:es)?|text does) not (?:say|state|mention)\b"
    r"|^\W*(?:этого |ответа )?нет в документ",
    re.I,
)
_SAME: Final = str.maketrans(dict.fromkeys("“”„«»‟", '"') | dict.fromkeys("’‘`", "'"))
_DASHES: Final = str.maketrans(dict.fromkeys("‐‑‒–—−", "-") | {"ё": "е"})
_IGNORED: Final = frozenset("*_#|\u00ad\u200b")


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """Characters `start` up to `end` of the passage at `place` support the answer's `number`."""

    number: int
    place: int
    start: int
    end: int
    quote: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """An answer with its citations numbered from 1 in order, and how many were not kept."""

    text: str
    citations: tuple[Citation, ...]
    dropped: int
    is_absent: bool


class Folded:
    """A passage folded for comparing, with the place of each of its characters in the original."""

    def __init__(self, text: str) -> None:
        self.original = text
        letters: list[str] = []
        places: list[int] = []
        for place, letter in enumerate(text):
            folded = _fold(letter)
            if folded == " " and (not letters or letters[-1] == " "):
                continue
            for part in folded:
                letters.append(part)
                places.append(place)
        self.text = "".join(letters)
        self.places = places
        self._sentences: list[tuple[int, int, frozenset[str]]] | None = None

    def find(self, quote: str) -> tuple[int, int] | None:
        """Return where a quote stands in the original, None when its words do not occur."""
        wanted = Folded(quote).text.strip(" .,;:…\"'")
        if sum(letter.isalnum() for letter in wanted) < MIN_QUOTE_LETTERS:
            return None
        at = self.text.find(wanted)
        while at >= 0:
            end = at + len(wanted)
            before = self.text[at - 1 : at]
            after = self.text[end : end + 1]
            if not ((before + wanted[0]).isalnum() and before) and not (
                after and (wanted[-1] + after).isalnum()
            ):
                return self.places[at], self.places[end - 1] + 1
            at = self.text.find(wanted, at + 1)
        return None

    def best_sentence(self, claim: str, least: float) -> tuple[float, int, int] | None:
        """Return share, start and end of the sentence that supports a claim best."""
        wanted = frozenset(query_stems(claim))
        if len(wanted) < MIN_STEMS:
            return None
        numbers = set(_numbers(claim))
        best: tuple[float, int, int] | None = None
        for start, end, stems in self._split():
            share = len(wanted & stems) / len(wanted)
            if share < least or (best is not None and share <= best[0]):
                continue
            if numbers <= set(_numbers(self.original[start:end])):
                best = (share, start, end)
        return best

    def _split(self) -> list[tuple[int, int, frozenset[str]]]:
        if self._sentences is None:
            self._sentences = []
            for match in _SENTENCE.finditer(self.original):
                words = match.group()
                if words.strip():
                    start = match.start() + len(words) - len(words.lstrip())
                    end = match.start() + len(words.rstrip())
                    stems = frozenset(query_stems(words))
                    self._sentences.append((start, min(end, start + LONGEST_QUOTE), stems))
        return self._sentences


def check(answer: str, passages: Sequence[str]) -> Checked:
    """Return the answer with the citations that hold; passage 1 is the first.

    Marks that do not hold are taken out of the text and counted.
    """
    if is_absent(answer):
        return Checked(text=_MARK.sub("", answer).strip(), citations=(), dropped=0, is_absent=True)
    checker = _Checker(passages)
    text = "".join(checker.take(sentence, marks) for sentence, marks in _sentences(answer))
    return Checked(
        text=text.strip(),
        citations=tuple(checker.kept),
        dropped=checker.dropped,
        is_absent=False,
    )


def is_absent(answer: str) -> bool:
    """Return whether an answer says that the documents do not hold it."""
    return bool(_ABSENT.match(answer.strip()))


class _Checker:
    def __init__(self, passages: Sequence[str]) -> None:
        self._passages = passages
        self._folded: dict[int, Folded] = {}
        self.kept: list[Citation] = []
        self.dropped = 0

    def take(self, sentence: str, marks: list[re.Match[str]]) -> str:
        """Return a sentence with the numbers of what supports it."""
        numbers: list[int] = []
        for mark in marks:
            found = self._of_mark(sentence, mark)
            self.dropped += not found
            numbers.extend(self._number(*place) for place in found)
        if not marks:
            numbers.extend(self._number(*place) for place in self._unmarked(sentence))
        shown = "".join(f" [{number}]" for number in dict.fromkeys(numbers))
        body = sentence.rstrip()
        rest = sentence[len(body) :]
        stop = len(body.rstrip(".!?…"))
        return body[:stop] + shown + body[stop:] + rest if body else sentence

    def _of_mark(self, sentence: str, mark: re.Match[str]) -> list[tuple[int, int, int]]:
        places = [int(number) - 1 for number in re.findall(r"\d+", mark[1])]
        places = [place for place in places if 0 <= place < len(self._passages)]
        quote = mark["quote"]
        if quote is None:
            best = [
                (place, self._fold(place).best_sentence(sentence, SUPPORT_OF_MARK))
                for place in places
            ]
            return [(place, found[1], found[2]) for place, found in best if found is not None]
        others = [place for place in self._searched() if place not in places]
        for place in [*places, *others]:  # models miscount; the words say where they are from
            at = self._fold(place).find(quote)
            if at is not None:
                return [(place, *at)]
        return []

    def _unmarked(self, sentence: str) -> list[tuple[int, int, int]]:
        best: tuple[float, int, int, int] | None = None
        for place in self._searched():
            found = self._fold(place).best_sentence(sentence, SUPPORT_WITHOUT_MARK)
            if found is not None and (best is None or found[0] > best[0]):
                best = (found[0], place, found[1], found[2])
        return [] if best is None else [best[1:]]

    def _fold(self, place: int) -> Folded:
        if place not in self._folded:
            self._folded[place] = Folded(self._passages[place])
        return self._folded[place]

    def _searched(self) -> range:
        """Return the passages that are looked through where no number leads."""
        return range(min(len(self._passages), MOST_SEARCHED))

    def _number(self, place: int, start: int, end: int) -> int:
        for known in self.kept:
            if (known.place, known.start, known.end) == (place, start, end):
                return known.number
        quote = self._passages[place][start:end]
        number = len(self.kept) + 1
        self.kept.append(Citation(number=number, place=place, start=start, end=end, quote=quote))
        return number


def _sentences(answer: str) -> list[tuple[str, list[re.Match[str]]]]:
    """Return the answer's sentences without marks, each with the marks in or right after it."""
    marks = list(_MARK.finditer(answer))
    bare: list[str] = []
    at = 0
    points: list[int] = []  # of each mark, in the text without marks
    length = 0
    for mark in marks:
        piece = answer[at : mark.start()]
        bare.append(piece)
        length += len(piece)
        points.append(length)
        at = mark.end()
    bare.append(answer[at:])
    text = "".join(bare)
    result: list[tuple[str, list[re.Match[str]]]] = []
    start = 0
    taken = 0
    for match in [*_SENTENCE.finditer(text)]:
        end = match.end()
        mine: list[re.Match[str]] = []
        while taken < len(points) and points[taken] <= end:
            mine.append(marks[taken])
            taken += 1
        result.append((text[start:end], mine))
        start = end
    if start < len(text) or taken < len(points):
        result.append((text[start:], marks[taken:]))
    return result


def _numbers(text: str) -> list[str]:
    return [re.sub(r"[,  ]", "", number).rstrip(".") for number in _NUMBER.findall(text)]


def _fold(letter: str) -> str:
    if letter in _IGNORED:
        return ""
    if letter.isspace():
        return " "
    folded = unicodedata.normalize("NFKC", letter).casefold()
    return folded.translate(_SAME).translate(_DASHES)
