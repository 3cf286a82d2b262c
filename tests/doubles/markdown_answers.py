"""Long answers as models write them, made the same way every time."""

from __future__ import annotations

import random

_TEXT = (
    "the engine keeps each block apart so that a reader sees text at once and nothing moves "
    "while more of it arrives from the model which may be slow or fast but never in the way"
)
_WORDS = _TEXT.split()


def mixed_answer(characters: int, seed: int = 7) -> str:
    """Return Markdown of about `characters`: prose, lists, code, tables and quotes, mixed."""
    chance = random.Random(seed)
    makers = (_paragraph, _paragraph, _paragraph, _list, _code, _table, _quote)
    parts: list[str] = []
    length = 0
    while length < characters:
        if len(parts) % 9 == 0:
            part = f"## Part {len(parts) // 9 + 1}\n\n"
        else:
            part = chance.choice(makers)(chance) + "\n\n"
        parts.append(part)
        length += len(part)
    return "".join(parts)[:characters]


def tokens(text: str, seed: int = 3) -> list[str]:
    """Return a text in pieces of one to seven characters, four on average, as tokens are."""
    chance = random.Random(seed)
    pieces: list[str] = []
    start = 0
    while start < len(text):
        size = chance.randint(1, 7)
        pieces.append(text[start : start + size])
        start += size
    return pieces


def _sentence(chance: random.Random) -> str:
    words = [chance.choice(_WORDS) for _ in range(chance.randint(6, 18))]
    if chance.random() < 0.4:
        words[1] = f"**{words[1]}**"
    if chance.random() < 0.4:
        words[3] = f"`{words[3]}()`"
    if chance.random() < 0.1:
        words[4] = f"[{words[4]}](https://example.org/{words[4]})"
    return " ".join(words).capitalize() + "."


def _paragraph(chance: random.Random) -> str:
    return " ".join(_sentence(chance) for _ in range(chance.randint(2, 7)))


def _list(chance: random.Random) -> str:
    numbered = chance.random() < 0.5
    return "\n".join(
        f"{f'{number}.' if numbered else '-'} {_sentence(chance)}"
        for number in range(1, chance.randint(4, 9))
    )


def _code(chance: random.Random) -> str:
    lines = [f"def step_{chance.randint(1, 99)}(value: int) -> int:"]
    for number in range(chance.randint(4, 40)):
        lines.append(
            f"    value = value * {number} + {chance.randint(1, 9)}  # {chance.choice(_WORDS)}"
        )
        if chance.random() < 0.1:
            lines += [
                "    return value",
                "",
                f"def other_{number}(text: str) -> str:",
                '    """Say."""',
            ]
    lines.append("    return value")
    return "```python\n" + "\n".join(lines) + "\n```"


def _table(chance: random.Random) -> str:
    rows = ["| name | count | share |", "|:-----|------:|:-----:|"]
    rows += [
        f"| {chance.choice(_WORDS)} | {chance.randint(1, 9999)} | `{chance.random():.2f}` |"
        for _ in range(chance.randint(3, 14))
    ]
    return "\n".join(rows)


def _quote(chance: random.Random) -> str:
    return "\n".join(f"> {_sentence(chance)}" for _ in range(chance.randint(1, 3)))
