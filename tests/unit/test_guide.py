"""The starter model's guide: complete in both languages, and true to the manual."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from starter_model.guide_items import fold, read_guide

HELP = Path(__file__).parents[2] / "resources" / "help"
MOST_WORDS = 60
ITEMS = read_guide()  # which refuses two of an id, and an answer without its key facts


@functools.cache
def page_text(language: str, page: str) -> str:
    """A help page without the marks of Markdown, its lines joined."""
    text = (HELP / language / f"{page}.md").read_text(encoding="utf-8")
    return fold(re.sub(r"[*`|]|^#+ ", "", text, flags=re.MULTILINE))


def plain(question: str) -> str:
    return fold(question).strip("?!. ") or question


def test_both_languages_cover_the_same_subjects() -> None:
    english, russian = (
        {item.id: (item.page, item.kind) for item in ITEMS if item.language == language}
        for language in ("en", "ru")
    )
    assert english == russian
    assert len(english) >= 70
    assert {kind for _, kind in english.values()} == {"guide", "manners"}


def test_items_can_be_learnt_and_measured() -> None:
    for item in ITEMS:
        name = f"{item.id} ({item.language})"
        assert len(item.answer.split()) <= MOST_WORDS, name
        assert len(item.questions) >= 10, name
        assert len(item.held_out) >= 3, name
        asked = [plain(question) for question in (*item.questions, *item.held_out)]
        assert len(set(asked)) == len(asked), f"{name} asks the same twice"
        assert item.key_facts, name


def test_the_manual_holds_what_is_taught() -> None:
    missing = [
        f"{item.language}/{item.page}.md for {item.id}: {ways}"
        for item in ITEMS
        if item.kind == "guide"
        for ways in item.key_facts
        if not any(fold(way) in page_text(item.language, item.page) for way in ways)
    ]
    assert not missing, "\n".join(missing)


def test_no_question_is_asked_of_two_subjects() -> None:
    owners: dict[str, set[str]] = {}
    for item in ITEMS:
        for question in (*item.questions, *item.held_out):
            owners.setdefault(plain(question), set()).add(item.id)
    assert not {question: ids for question, ids in owners.items() if len(ids) > 1}
