"""The manual that comes with Freehold: its pages in each language, and the search in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LANGUAGES: Final = (("en", "English"), ("ru", "Русский"))
ORDER: Final = (
    "start",
    "chats",
    "documents",
    "models",
    "find",
    "machine",
    "kimi-k2",
    "costs",
    "own-or-rent",
    "programs",
    "background",
    "settings",
    "privacy",
    "shortcuts",
    "trouble",
    "words",
)
SNIPPET_CHARS: Final = 72
_MARKS = re.compile(r"[*`]+|^\s*(?:[-*+]|\d+\.)\s+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page below one heading; `heading` is the page's title for its beginning."""

    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class ManualPage:
    """A page of the manual: `key` is its file's name, `text` its Markdown."""

    key: str
    title: str
    text: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A section that a search found, and where the first of its words stands."""

    key: str
    title: str
    heading: str
    snippet: str


def language_of(locale_name: str) -> str:
    """Return the manual's language for a locale like `ru_RU`; English where there is none."""
    wanted = locale_name.replace("-", "_").partition("_")[0].lower()
    return wanted if wanted in dict(LANGUAGES) else "en"


def read_manual(folder: Path, language: str) -> tuple[ManualPage, ...]:
    """Return the pages of a language in reading order; one whose file is gone is left out."""
    pages = []
    for key in ORDER:
        try:
            text = (folder / language / f"{key}.md").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        pages.append(make_page(key, text))
    return tuple(pages)


def make_page(key: str, text: str) -> ManualPage:
    """Cut a page's Markdown into its title and sections."""
    first, _, body = text.strip().partition("\n")
    title = first.lstrip("# ").strip()
    parts = re.split(r"^## +(.+)$", body, flags=re.MULTILINE)
    sections = [Section(title, parts[0])]
    sections += [Section(h.strip(), t) for h, t in zip(parts[1::2], parts[2::2], strict=True)]
    return ManualPage(key, title, text, tuple(sections))


def search(pages: tuple[ManualPage, ...], words: str) -> tuple[Hit, ...]:
    """Return the sections that hold the most of the words.

    Those of pages that hold more of them come first, then those with one in the heading.
    """
    wanted = [_stem(word) for word in _fold(words).split()]
    found: list[tuple[int, int, Hit]] = []
    for page in pages:
        whole = _fold(page.text)
        absent = sum(word not in whole for word in wanted)
        for section in page.sections:
            heading = _fold(f"{page.title} {section.heading}")
            text = plain(section.text)
            count = sum(word in heading or word in _fold(text) for word in wanted)
            if count:
                rank = 100 * absent + sum(word not in heading for word in wanted)
                hit = Hit(page.key, page.title, section.heading, _snippet(text, wanted))
                found.append((count, rank, hit))
    most = max((count for count, _, _ in found), default=0)
    best = [(rank, hit) for count, rank, hit in found if count == most]
    return tuple(hit for _, hit in sorted(best, key=lambda pair: pair[0]))


def plain(markdown: str) -> str:
    """Return Markdown's words on one line, without its marks."""
    lines = [line for line in markdown.splitlines() if not re.fullmatch(r"[\s|:-]+|```.*", line)]
    return " ".join(_MARKS.sub("", "\n".join(lines)).replace("|", " ").split())


def _fold(text: str) -> str:
    return text.casefold().replace("ё", "е")


def _stem(word: str) -> str:
    """Cut what inflection changes, roughly: `памяти` and `память`, `downloads` and `download`."""
    return word[: max(4, len(word) - 2)] if word.isalpha() else word


def _snippet(text: str, wanted: list[str]) -> str:
    """Return the words around the first one that was asked for."""
    folded = _fold(text)
    places = [place for word in wanted if (place := folded.find(word)) >= 0]
    start = max(0, min(places, default=0) - SNIPPET_CHARS // 3)
    start = 0 if start == 0 else text.find(" ", start) + 1
    end = start + SNIPPET_CHARS
    before, after = "…" if start else "", "…" if end < len(text) else ""
    cut = text[start:end]
    return f"{before}{cut.rpartition(' ')[0] if after else cut}{after}"
