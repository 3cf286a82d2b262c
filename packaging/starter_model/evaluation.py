"""Measures an exported model: the questions, documents and tools of seeds never trained on.

Everything is asked greedily through llama.cpp, with the prompt Kimi's template gives and no
grammar to help. An answer is judged whole: key facts for the app, the exact text otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from starter_model.conversation import Conversation, Message, questions_of, render, write_calls
from starter_model.guide_items import GuideItem
from starter_model.passages import NOT_SAID, reading
from starter_model.runtime import Runtime
from starter_model.tool_tasks import NO_TOOL, NOUNS, UNSEEN_NOUNS, tool_task

SEED: Final = "evaluation"
LIMIT_TOKENS: Final = 200


@dataclass(frozen=True, slots=True)
class Bar:
    """What the issue that asked for the model wants of a score."""

    title: str
    least: float


BARS: Final = {
    "guide_en": Bar("App questions, English, wordings never trained on (key facts)", 0.90),
    "guide_ru": Bar("App questions, Russian, wordings never trained on (key facts)", 0.90),
    "manners": Bar("Manners, both languages, wordings never trained on (key facts)", 0.90),
    "reading_short": Bar("Reading, documents of 1 to 4 parts (exact span)", 0.90),
    "reading_long": Bar(
        "Reading, documents of 5 to 14 parts, up to 1,500 tokens (exact span)", 0.90
    ),
    "unanswerable": Bar("Reading, the answer is not there (says so)", 0.90),
    "tools": Bar("Tool and arguments, tool names trained on (exact)", 0.95),
    "tools_unseen": Bar("Tool and arguments, tool names never seen (exact)", 0.85),
    "tool_answer": Bar("Answer from a tool's result (exact)", 0.90),
    "no_tool": Bar("No tool fits (says so)", 0.90),
    "clean": Bar("Answers that end by themselves, whole UTF-8, no stray special tokens", 1.0),
}


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, what it measures, and what is right."""

    group: str
    conversation: Conversation
    expected: str
    item: GuideItem | None = None

    def is_answered_by(self, said: str) -> bool:
        """Return whether `said` is right."""
        if self.item is not None:
            return self.item.is_answered_by(said)
        return said == self.expected


@dataclass(slots=True)
class Scores:
    """Right and asked, by what was measured; and some wrong answers to look at."""

    right: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    wrong: list[dict[str, str]] = field(default_factory=list)

    def add(self, group: str, *, right: bool) -> None:
        """Count one answer."""
        self.asked[group] = self.asked.get(group, 0) + 1
        self.right[group] = self.right.get(group, 0) + right

    def share(self, group: str) -> float:
        """Return the share that was right."""
        return self.right[group] / self.asked[group]


def questions(items: tuple[GuideItem, ...], size: int, wordings: int = 3) -> Iterator[Question]:
    """Yield the evaluation set, the same every time.

    size: how many conversations of each generated kind; 0 for the guide alone.
    wordings: how many of each item's held-out questions.
    """
    for item in items:
        group = "manners" if item.kind == "manners" else f"guide_{item.language}"
        for text in item.held_out[:wordings]:
            asked = Conversation((Message("user", text),))
            yield Question(group, asked, item.answer, item)
    random = Random(SEED)
    for _ in range(size):
        yield from _read(random, "reading_short", random.randint(1, 4))
    for _ in range(size // 3):
        yield from _read(random, "reading_long", random.randint(5, 14))
    for _ in range(size):
        count = random.randint(1, 4)
        yield from _use(tool_task(random, tools=count, turns=1, nouns=NOUNS), "tools")
        yield from _use(tool_task(random, tools=count, turns=1, nouns=UNSEEN_NOUNS), "tools_unseen")


def _read(random: Random, group: str, blocks: int) -> Iterator[Question]:
    whole = reading(random, blocks=blocks, turns=2, unanswerable=0.33)
    for before, answer in questions_of(whole):
        yield Question("unanswerable" if answer.text == NOT_SAID else group, before, answer.text)


def _use(whole: Conversation, group: str) -> Iterator[Question]:
    for before, answer in questions_of(whole):
        if answer.calls:
            ids = [f"functions.{call.name}:{at}" for at, call in enumerate(answer.calls)]
            yield Question(group, before, write_calls(answer.calls, ids))
        elif answer.text == NO_TOOL:
            yield Question("no_tool", before, answer.text)
        else:
            yield Question("tool_answer", before, answer.text)


def evaluate(
    path: Path, items: tuple[GuideItem, ...], size: int = 150, wordings: int = 3
) -> Scores:
    """Ask everything and return the scores."""
    scores = Scores()
    with Runtime(path) as runtime:
        for question in questions(items, size, wordings):
            prompt = "".join(piece.text for piece in render(question.conversation, ask=True))
            data, ended = runtime.answer(prompt, LIMIT_TOKENS)
            said = data.decode("utf-8", "replace")
            right = question.is_answered_by(said)
            scores.add(question.group, right=right)
            scores.add("clean", right=ended and "\ufffd" not in said and _is_tidy(said))
            if not right:
                last = question.conversation.messages[-1].text
                scores.wrong.append(
                    {
                        "group": question.group,
                        "asked": last[-300:],
                        "expected": question.expected,
                        "said": said,
                    }
                )
    return scores


def _is_tidy(said: str) -> bool:
    """Return whether special tokens stand only where a call of tools has them."""
    if "<|tool_calls_section_begin|>" in said:
        return said.count("<|tool_call_begin|>") == said.count("<|tool_call_end|>") > 0
    return "<|" not in said


def measure_speed(path: Path, threads: int = 2, tokens: int = 256) -> float:
    """Return generated tokens per second."""
    with Runtime(path, threads=threads) as runtime:
        prompt = render(Conversation((Message("user", "hello"),)), ask=True)[0].text
        return runtime.rate(prompt, tokens)


def table(scores: Scores) -> str:
    """Return the scores beside their bars as a Markdown table."""
    lines = ["| measured | right | of | share | bar |", "| --- | --: | --: | --: | --- |"]
    for group, bar in BARS.items():
        if group not in scores.asked:
            continue
        share = scores.share(group)
        verdict = "reached" if share >= bar.least else "**not reached**"
        lines.append(
            f"| {bar.title} | {scores.right[group]} | {scores.asked[group]} | {share:.1%} |"
            f" {bar.least:.0%}, {verdict} |"
        )
    return "\n".join(lines)


def write_wrong(path: Path, scores: Scores) -> None:
    """Write the wrong answers, one JSON object per line, to look at."""
    with path.open("w", encoding="utf-8") as out:
        for one in scores.wrong:
            out.write(json.dumps(one, ensure_ascii=False) + "\n")
