"""Which questions need every passage read, in English and Russian."""

from __future__ import annotations

import pytest

from freehold.documents.intent import classify, counts_mentions

COUNTS = """
How many invoices are there?
How many times is Petrov mentioned?
How often does the word rent appear?
Count the open tasks
List all deadlines
How many contracts are in these documents?
Show me every invoice over 100 euros
Сколько раз упоминается Петров?
Сколько всего счетов в документах?
Перечисли все сроки
Посчитай открытые задачи
Найди все упоминания аренды
"""
SUMMARIES = """
Summarize the document
Give me a summary
What are the main points?
What is this document about?
tl;dr
What are the key takeaways?
Кратко: о чём этот документ?
Краткое содержание
Перескажи текст
Каковы основные выводы?
В двух словах, что здесь?
"""
LOOKUPS = """
How many days' notice must the tenant give?
How many pages may the annual report have?
How many days of notice does the contract give?
How many euros is the deposit?
How much is the yearly rent?
Who signed the contract?
What does the summary table say about copper?
When does it end?
Сколько стоит аренда?
Сколько дней длится отпуск по договору?
Кто подписал договор?
"""


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.mark.parametrize("question", lines(COUNTS))
def test_counts(question: str) -> None:
    assert classify(question) == "count"


@pytest.mark.parametrize("question", lines(SUMMARIES))
def test_summaries(question: str) -> None:
    assert classify(question) == "summary"


@pytest.mark.parametrize("question", lines(LOOKUPS))
def test_lookups(question: str) -> None:
    assert classify(question) == "lookup"


def test_mentions_count_each_time() -> None:
    assert counts_mentions("How many times is Petrov mentioned?")
    assert counts_mentions("Сколько раз назван Петров?")
    assert not counts_mentions("How many invoices are there?")
