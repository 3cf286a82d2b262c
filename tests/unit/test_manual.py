"""The manual's pages as the window reads them, and the search in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from freehold.paths import resources
from freehold.ui.state.manual import (
    ORDER,
    language_of,
    make_page,
    plain,
    read_manual,
    search,
)

HELP = resources() / "help"


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_page_is_there_and_has_a_place(language: str) -> None:
    pages = read_manual(HELP, language)
    assert [page.key for page in pages] == list(ORDER)
    assert {path.stem for path in (HELP / language).glob("*.md")} == set(ORDER)
    assert len({page.title for page in pages}) == len(pages)


def test_both_languages_have_the_same_sections() -> None:
    english, russian = (read_manual(HELP, language) for language in ("en", "ru"))
    shapes = [{page.key: len(page.sections) for page in pages} for pages in (english, russian)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("locale", "language"),
    [("ru_RU", "ru"), ("ru", "ru"), ("en_GB", "en"), ("de_DE", "en"), ("C", "en"), ("", "en")],
)
def test_the_language_follows_the_locale(locale: str, language: str) -> None:
    assert language_of(locale) == language


def test_a_page_is_cut_at_its_headings() -> None:
    page = make_page("x", "# Title\n\nBeginning.\n\n## One\n\nFirst.\n\n## Two\n\nSecond.\n")
    assert page.title == "Title"
    assert [(s.heading, s.text.strip()) for s in page.sections] == [
        ("Title", "Beginning."),
        ("One", "First."),
        ("Two", "Second."),
    ]


@pytest.mark.parametrize(
    ("words", "key", "heading"),
    [
        ("udev", "costs", "Meters"),
        ("gated token", "find", "Tokens and gated models"),
        ("EXPERTS router", "kimi-k2", "Kimi K2"),
        ("backups", "privacy", "Backups"),
    ],
)
def test_the_search_finds_the_section(words: str, key: str, heading: str) -> None:
    hits = search(read_manual(HELP, "en"), words)
    assert (hits[0].key, hits[0].heading) == (key, heading)


def test_russian_words_are_found_in_other_forms() -> None:
    hits = search(read_manual(HELP, "ru"), "резервные копий")
    assert hits[0].key == "privacy"
    assert search(read_manual(HELP, "ru"), "ещё") == search(read_manual(HELP, "ru"), "еще")


def test_where_no_section_holds_all_words_those_with_most_are_found() -> None:
    pages = read_manual(HELP, "en")
    assert search(pages, "checksum zzz") == search(pages, "checksum")
    assert [hit.key for hit in search(pages, "h100 price")][:2] == ["own-or-rent"] * 2


def test_a_snippet_shows_the_word_and_no_marks() -> None:
    for word in ("checksum", "Shelly", "11711"):
        hit = search(read_manual(HELP, "en"), word)[0]
        assert word[:4].lower() in hit.snippet.lower()
        assert not set(hit.snippet) & set("*`|")


@pytest.mark.parametrize("words", ["", "   ", "zzz", "qqq zzz"])
def test_nothing_is_found_for_nothing(words: str) -> None:
    assert search(read_manual(HELP, "en"), words) == ()


def test_a_missing_or_damaged_file_leaves_its_page_out(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "chats.md").write_text("# Chats\n\nText.\n", encoding="utf-8")
    (tmp_path / "en" / "start.md").write_bytes(b"\xff\xfe\xfa")
    assert [page.key for page in read_manual(tmp_path, "en")] == ["chats"]
    assert read_manual(tmp_path / "nowhere", "ru") == ()


def test_plain_text_has_the_cells_of_a_table() -> None:
    assert plain("| a | b |\n| --- | --- |\n| *1* | `2` |\n\n* item") == "a b 1 2 item"
