"""Citations: kept only where the words are, numbered in order, none without support."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.documents.citations import Folded, check

LEASE = "# Rent\n\nThe yearly rent is 4,250 euros, due on the\nthird of March. Pets are allowed."
PRICES = "| Part | Price |\n| --- | --- |\n| Copper pipe | 17.40 |\n| Brass valve | 23.15 |"
RUSSIAN = "Договор расторгается за девяносто дней. Счёт оплачивается “в срок”."
ALL = (LEASE, PRICES, RUSSIAN)


def test_a_quote_that_occurs_is_kept_with_its_place() -> None:
    checked = check(
        'The rent is 4,250 euros [1: "yearly rent is 4,250 euros, due on the third"].', ALL
    )
    (citation,) = checked.citations
    assert checked.text == "The rent is 4,250 euros [1]."
    assert LEASE[citation.start : citation.end] == citation.quote
    assert citation.quote == "yearly rent is 4,250 euros, due on the\nthird"
    assert (citation.number, citation.place, checked.dropped) == (1, 0, 0)


def test_words_that_do_not_occur_are_dropped() -> None:
    checked = check('The rent is 9,000 euros [1: "yearly rent is 9,000 euros"].', ALL)
    assert checked.text == "The rent is 9,000 euros."
    assert (checked.citations, checked.dropped) == ((), 1)


@pytest.mark.parametrize("quote", ["rent", "ear", "yearly ren", "the the", "4,25", '"'])
def test_scraps_are_no_quotes(quote: str) -> None:
    assert check(f'Something else entirely [1: "{quote}"].', ALL).citations == ()


def test_a_miscounted_quote_is_pointed_at_its_passage() -> None:
    checked = check('It ends after notice [1: "расторгается за девяносто дней"].', ALL)
    assert checked.citations[0].place == 2


def test_a_bare_mark_needs_a_sentence_that_supports_it() -> None:
    checked = check("Yearly rent is 4,250 euros [1]. Dogs must pay 12 euros [1].", ALL)
    assert checked.text == "Yearly rent is 4,250 euros [1]. Dogs must pay 12 euros."
    assert checked.citations[0].quote.startswith("The yearly rent")
    assert checked.dropped == 1


def test_a_wrong_figure_is_not_supported() -> None:
    assert check("The yearly rent is 4,350 euros, due in March [1].", ALL).citations == ()


def test_an_unmarked_sentence_that_repeats_a_passage_is_proved() -> None:
    checked = check("The yearly rent is 4,250 euros. Nobody knows why.", ALL)
    assert checked.text == "The yearly rent is 4,250 euros [1]. Nobody knows why."


def test_numbers_follow_the_order_of_use_and_same_places_share_one() -> None:
    answer = (
        'A brass valve costs 23.15 [2: "Brass valve | 23.15"]. Pets may live there [1: "Pets are '
        'allowed"]. Again a valve [2: "Brass valve | 23.15"].'
    )
    checked = check(answer, ALL)
    assert [c.place for c in checked.citations] == [1, 0]
    assert checked.text.count("[1]") == 2


def test_quotes_dashes_and_letters_are_compared_alike() -> None:
    assert check('Да [3: «Счет оплачивается "в срок"»].', ALL).citations[0].place == 2


@pytest.mark.parametrize(
    "answer", ["Not in the documents.", "NOT IN THE DOCUMENTS [1]", "Этого нет в документах."]
)
def test_absence_is_told_apart(answer: str) -> None:
    checked = check(answer, ALL)
    assert checked.is_absent
    assert checked.citations == ()
    assert "[" not in checked.text


@given(
    st.text(alphabet='ab .!?[]1239:,"\n', max_size=200), st.lists(st.text(max_size=80), max_size=4)
)
def test_what_is_kept_always_occurs(answer: str, passages: list[str]) -> None:
    checked = check(answer, passages)
    for citation in checked.citations:
        assert passages[citation.place][citation.start : citation.end] == citation.quote != ""
    assert [c.number for c in checked.citations] == list(range(1, len(checked.citations) + 1))


@given(st.text(max_size=200))
def test_folding_keeps_places(text: str) -> None:
    folded = Folded(text)
    assert len(folded.text) == len(folded.places)
    assert folded.places == sorted(folded.places)
