"""What the model is trained on: conversations of every kind, drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from starter_model.conversation import Conversation, Message
from starter_model.document_kinds import SYSTEM_PROMPTS
from starter_model.drills import drill
from starter_model.guide_items import GuideItem
from starter_model.passages import reading
from starter_model.tool_tasks import tool_task

# Shares of the conversations drawn. The guide has short ones: of the text it is about a third.
SHARES: Final = {"guide": 0.45, "reading": 0.27, "tools": 0.12, "drill": 0.16}
TRAINING: Final = "training"
POLITE: Final = {
    "en": (
        "Please tell me: ", "Hello. ", "I have a question. ", "Quick question: ", "Hi, ", "So, ",
    ),
    "ru": ("Подскажите, ", "Здравствуйте. ", "Есть вопрос. ", "Скажите, ", "Привет, ", "А "),
}  # fmt: skip


def conversations(
    items: tuple[GuideItem, ...], seed: str, *, progress: float = 1.0
) -> Iterator[Conversation]:
    """Yield conversations without end, the same for the same seed.

    progress: how far training is, 0 to 1; documents grow with it.
    """
    random = Random(seed)
    kinds, weights = zip(*SHARES.items(), strict=True)
    while True:
        kind = random.choices(kinds, weights)[0]
        if kind == "guide" and items:
            yield guide_chat(random, items)
        elif kind == "reading":
            yield reading(
                random,
                blocks=_blocks(random, progress),
                turns=random.randint(3, 8),
                unanswerable=0.25,
            )
        elif kind == "tools":
            size = random.choice((1, 2, 2, 3, 3, 4) if progress > 0.2 else (1, 2, 2))
            yield tool_task(random, tools=size, turns=random.randint(2, 4))
        else:
            yield drill(random)


def _blocks(random: Random, progress: float) -> int:
    """Return how many parts a document has: few early, up to sixteen later."""
    if progress < 0.25:
        return random.choice((1, 1, 2))
    if progress < 0.55 or random.random() < 0.85:
        return random.choice((1, 2, 2, 3, 4))
    return random.randint(4, 14)


def guide_chat(random: Random, items: tuple[GuideItem, ...]) -> Conversation:
    """Return one to four questions about the app with their answers."""
    language = "ru" if random.random() < 0.5 else "en"
    own = [item for item in items if item.language == language] or list(items)
    messages = []
    for _ in range(random.choice((1, 2, 3, 4))):
        item = random.choice(own)
        question = disturb(random, random.choice(item.questions), item.language)
        messages += [Message("user", question), Message("assistant", item.answer)]
    if random.random() < 0.08:
        messages.insert(0, Message("system", random.choice(SYSTEM_PROMPTS)))
    return Conversation(tuple(messages))


def disturb(random: Random, question: str, language: str) -> str:
    """Return the question as another person might type it: case, marks, a slip, a word less."""
    text = question
    if random.random() < 0.2:
        words = text.split()
        if len(words) > 3:
            del words[random.randrange(len(words))]
            text = " ".join(words)
    if random.random() < 0.08 and len(text) > 6:
        at = random.randrange(len(text) - 1)
        text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if random.random() < 0.3:
        text = text.rstrip("?.!") or question
    elif text[-1].isalnum() and random.random() < 0.4:
        text += "?"
    if random.random() < 0.25:
        text = text.lower()
    elif random.random() < 0.3:
        text = text[0].upper() + text[1:]
    if random.random() < 0.12:
        text = random.choice(POLITE[language]) + text[0].lower() + text[1:]
    return text
