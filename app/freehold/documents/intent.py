"""What kind of question it is: one that looks something up, counts, or sums up.

A search finds passages that speak of something; it cannot tell how many there are in all, nor
what the whole says. Such questions are answered by reading every passage.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Intent = Literal["lookup", "count", "summary"]

# How often, how many in the whole; not "how many days are agreed", which one passage answers.
_WHOLE_EN: Final = (
    r"(?:in (?:all|total|the whole|(?:all |these |the )*(?:documents|files|texts|reports|contracts"
    r"|letters|mails|papers|books|minutes|invoices|list|table|collection|document|file))"
    r"|altogether|overall|in total)"
)
_WHOLE_RU: Final = (
    r"(?:всего|всех|итого|(?:в|во|среди) (?:этих |всех )?(?:документах|файлах|текстах|отч[её]тах"
    r"|договорах|письмах|книгах|протоколах|списке|таблице|документе|файле|тексте|счетах))"
)
_COUNT: Final = re.compile(
    rf"\bhow (?:many|often)\b(?=.*\b{_WHOLE_EN}\b)"
    r"|\bhow many (?:times|different|distinct|of (?:them|these|the))\b"
    r"|\bhow often (?:is|are|does|do)\b.*\b(?:mention\w*|appear\w*|occur\w*|named?)\b"
    r"|\bhow many\b.*\b(?:are there|is there|mentioned|listed|named|appear|occur|exist)\b"
    r"|\b(?:number of|count)\b(?=.*\b(?:all|every|total|mention\w*|occur\w*|different"
    r"|in the (?:documents?|files?|texts?)))"
    r"|^\s*count\b"
    r"|\b(?:list|name|enumerate|give me|show(?: me)?|find) (?:all|every|each)\b"
    r"|\bwhich (?:ones|of them) are\b.*\ball\b"
    rf"|\bсколько\b(?=.*\b{_WHOLE_RU}\b)"
    r"|\bсколько (?:раз|разных|различных)\b|\bкак часто\b"
    r"|\bсколько\b.*\b(?:упомина\w+|перечисл\w+|встреча\w+|указан\w+|названо)\b"
    r"|\b(?:посчита\w*|подсчита\w*|пересчита\w*)\b"
    r"|\b(?:перечисли\w*|назови\w*|найди\w*|покажи\w*|выпиши\w*)\s+(?:мне\s+)?(?:все|всех|каждый"
    r"|каждую|каждое)\b",
    re.I,
)
_MENTIONS: Final = re.compile(
    r"\bhow often\b|\bhow many times\b|\bmention|\boccurrences?\b|\bсколько раз\b|\bкак часто\b"
    r"|\bупомина",
    re.I,
)
_SUMMARY: Final = re.compile(
    r"\b(?:summar(?:y(?! (?:table|sheet|page|row))|ies|i[sz]e\w*|i[sz]ing)|tl;?dr)\b"
    r"|\b(?:sum up|outline|overview|synopsis|abstract)\b"
    r"|\bmain (?:points?|ideas?|topics?|themes?|arguments?|findings?)\b"
    r"|\bkey (?:points?|takeaways?|findings?|messages?)\b"
    r"|\bwhat (?:is|are) (?:this|these|the|it|they)\b[^?]*\babout\b"
    r"|\bin (?:a few|two|three|short|brief) (?:words|sentences)\b"
    r"|\bкратк\w+ (?:содержание|пересказ|изложени\w+|обзор)\b|\bпересказ\w*\b|\bперескаж\w*\b"
    r"|\b(?:резюм\w+|суммируй\w*|обобщи\w*|подытож\w*|вкратце|в двух словах|конспект\w*)\b"
    r"|\b(?:главн|основн|ключев)\w+ (?:мысл|иде|тем|тезис|вывод|момент|положени|пункт)\w*\b"
    r"|\bо ч[её]м\b.*\b(?:документ\w*|текст\w*|файл\w*|книг\w*|отч[её]т\w*|письм\w*|речь)\b",
    re.I,
)


def classify(question: str) -> Intent:
    """Return what a question asks for; in doubt it looks something up."""
    if _SUMMARY.search(question):
        return "summary"
    if _COUNT.search(question):
        return "count"
    return "lookup"


def counts_mentions(question: str) -> bool:
    """Return whether every mention counts, also of the same thing."""
    return bool(_MENTIONS.search(question))
