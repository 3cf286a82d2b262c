"""Documents made from seeds, and questions about them whose answers stand in them word for word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from starter_model import invented
from starter_model.conversation import Conversation, Message
from starter_model.document_kinds import (
    ATTRIBUTES,
    FIELDS,
    FILLERS,
    GENERIC_QUESTIONS,
    ROW_KINDS,
    SENTENCES,
    SYSTEM_PROMPTS,
    TASKS,
    TITLES,
)

NOT_SAID: Final = "The document does not say."
Value = Callable[[Random], str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a document, and the span that answers it."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Part:
    """Lines of a document, what they answer, and what one could ask but they do not say."""

    lines: tuple[str, ...]
    answered: tuple[Asked, ...]
    unanswered: tuple[str, ...]


def reading(random: Random, *, blocks: int, turns: int, unanswerable: float) -> Conversation:
    """Return a document of some blocks with questions asked about it.

    blocks: how many parts it is made of; a part is 20 to 150 tokens.
    unanswerable: the share of questions whose answer is not there.
    """
    kinds = random.sample(tuple(FIELDS), k=len(FIELDS))
    parts = [_part(random, kinds) for _ in range(blocks)]
    text, answered, unanswered = _join(random, parts)
    asked: list[Asked] = []
    for _ in range(turns):
        if unanswered and (not answered or random.random() < unanswerable):
            asked.append(Asked(unanswered.pop(random.randrange(len(unanswered))), NOT_SAID))
        elif answered:
            asked.append(answered.pop(random.randrange(len(answered))))
    messages = [Message("user", _first(random, text, asked[0].question))]
    messages.append(Message("assistant", asked[0].answer))
    for one in asked[1:]:
        messages += [Message("user", one.question), Message("assistant", one.answer)]
    if random.random() < 0.15:
        messages.insert(0, Message("system", random.choice(SYSTEM_PROMPTS)))
    return Conversation(tuple(messages))


def _first(random: Random, text: str, question: str) -> str:
    kind = random.random()
    if kind < 0.6:
        return f"{text}\n\n{question}"
    if kind < 0.75:
        return f"{text}\n\nQuestion: {question}"
    if kind < 0.85:
        return f"Document:\n{text}\n\nQuestion: {question}"
    if kind < 0.93:
        return f"Read this.\n\n{text}\n\n{question}"
    return f"{question}\n\n{text}"


def _join(random: Random, parts: list[Part]) -> tuple[str, list[Asked], list[str]]:
    """Return the text, the questions with one answer only, and those without any."""
    counts: dict[str, int] = {}
    for part in parts:
        for one in part.answered:
            counts[one.question] = counts.get(one.question, 0) + 1
    answered = [one for part in parts for one in part.answered if counts[one.question] == 1]
    unanswered = [ask for part in parts for ask in part.unanswered if ask not in counts]
    blocks = ["\n".join(part.lines) for part in parts]
    if random.random() < 0.35:
        blocks.insert(random.randrange(len(blocks) + 1), random.choice(FILLERS))
    return "\n\n".join(blocks), answered, unanswered


def _part(random: Random, kinds: list[str]) -> Part:
    """Return one part; a kind of paper comes once, so that no question has two answers."""
    kind = random.random()
    if kind < 0.4 and kinds:
        return _form(random, kinds.pop())
    if kind < 0.65:
        return _table(random)
    return _prose(random)


def _form(random: Random, kind: str) -> Part:
    """Return fields of an invoice, a contract, minutes or another paper."""
    fields = dict(random.sample(tuple(FIELDS[kind].items()), k=len(FIELDS[kind])))
    names = list(fields)
    size = random.randint(2, min(8, len(names) - 2))
    there, missing = names[:size], names[size:]
    values = {name: fields[name].value(random) for name in there}
    style = random.random()
    if style < 0.55:
        mark = random.choice(("", "", "- "))
        lines = [f"{mark}{_capital(name)}: {value}" for name, value in values.items()]
    elif style < 0.7:
        lines = [f"| {name} | {value} |" for name, value in values.items()]
    else:
        lines = [
            " ".join(
                random.choice((f"The {name} is {value}.", f"{_capital(name)} is {value}."))
                for name, value in values.items()
            )
        ]
    if random.random() < 0.6:
        lines.insert(0, random.choice(TITLES[kind]))
    answered = [Asked(_ask(random, name, fields[name].questions), values[name]) for name in there]
    unanswered = [_ask(random, name, fields[name].questions) for name in missing]
    return Part(tuple(lines), tuple(answered), tuple(unanswered))


def _table(random: Random) -> Part:
    """Return rows of things or people with two or three properties."""
    kind = random.choice(tuple(ROW_KINDS))
    make, columns = ROW_KINDS[kind]
    chosen = random.sample(columns, k=random.randint(1, min(3, len(columns))))
    rows = list(dict.fromkeys(make(random) for _ in range(random.randint(2, 6))))
    missing_row = make(random)
    cells = {row: {name: ATTRIBUTES[name](random) for name in chosen} for row in rows}
    style = random.random()
    if style < 0.4:
        lines = [f"| {kind} | {' | '.join(chosen)} |", "|" + "---|" * (len(chosen) + 1)]
        lines += [f"| {row} | {' | '.join(cells[row].values())} |" for row in rows]
    elif style < 0.6:
        lines = [f"{kind}; {'; '.join(chosen)}"]
        lines += [f"{row}; {'; '.join(cells[row].values())}" for row in rows]
    elif style < 0.8:
        lines = [
            f"{row}: {', '.join(f'{name} {value}' for name, value in cells[row].items())}"
            for row in rows
        ]
    else:
        lines = [
            f"{row} has {' and '.join(f'{name} {value}' for name, value in cells[row].items())}."
            for row in rows
        ]
    answered = []
    for row in rows:
        for name, value in cells[row].items():
            answered.append(Asked(_ask_cell(random, name, row), value))
            if sum(cells[other][name] == value for other in rows) == 1 and random.random() < 0.35:
                question = random.choice(
                    (f"Which {kind} has {name} {value}?", f"Whose {name} is {value}?")
                )
                answered.append(Asked(question, row))
    unanswered = [
        _ask_cell(random, name, missing_row) for name in chosen if missing_row not in rows
    ]
    other = [name for name in columns if name not in chosen]
    unanswered += [_ask_cell(random, name, random.choice(rows)) for name in other]
    return Part(tuple(lines), tuple(answered), tuple(unanswered))


def _prose(random: Random) -> Part:
    """Return a few sentences that say who did what, when, where and for how much."""
    lines, answered, unanswered = [], [], []
    for template, asks in random.sample(SENTENCES, k=random.randint(1, 4)):
        values, others = _slots(random), _slots(random)
        lines.append(template.format_map(values))
        for question, slot in asks:
            answered.append(Asked(question.format_map(values), values[slot]))
            if "{" in question:
                unanswered.append(question.format_map(others))
    joined = " ".join(lines) if random.random() < 0.7 else "\n".join(lines)
    return Part((joined,), tuple(answered), tuple(unanswered))


def _slots(random: Random) -> dict[str, str]:
    return {
        "person": invented.person(random),
        "friend": invented.person(random),
        "company": invented.company(random),
        "town": invented.town(random),
        "date": invented.date(random),
        "time": invented.clock(random),
        "money": invented.money(random),
        "count": invented.count(random),
        "item": random.choice(invented.ITEMS),
        "code": invented.code(random),
        "task": random.choice(TASKS),
        "room": invented.room(random),
        "duration": invented.duration(random),
        "percent": invented.percent(random),
        "project": invented.word(random),
        "measure": invented.measure(random),
    }


def _ask(random: Random, name: str, own: tuple[str, ...]) -> str:
    if own and random.random() < 0.5:
        return random.choice(own)
    text = random.choice(GENERIC_QUESTIONS).format(name=name)
    return text[0].upper() + text[1:]


def _ask_cell(random: Random, name: str, row: str) -> str:
    form = random.choice(
        (
            "What is the {name} of {row}?",
            "Which {name} does {row} have?",
            "Give the {name} of {row}.",
            "{row}: what {name}?",
            "What {name} is given for {row}?",
        )
    )
    return form.format(name=name, row=row)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
