"""Short exercises in copying and looking up: with them attention learns to point early."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from starter_model import invented
from starter_model.conversation import Conversation, Message

VALUES: Final[tuple[Callable[[Random], str], ...]] = (
    invented.person, invented.company, invented.town, invented.date, invented.money, invented.code,
    invented.mail, invented.phone, invented.measure, invented.address, invented.percent,
)  # fmt: skip


def drill(random: Random) -> Conversation:
    """Return an exercise: say something again, or look several names up in a list."""
    if random.random() < 0.3:
        text = ", ".join(random.choice(VALUES)(random) for _ in range(random.randint(1, 5)))
        return Conversation((Message("user", f"Repeat: {text}"), Message("assistant", text)))
    makes = random.sample(VALUES, k=2)
    pairs = {makes[0](random): makes[1](random) for _ in range(random.randint(2, 12))}
    mark = random.choice((": ", " = ", " - "))
    text = "\n".join(f"{name}{mark}{value}" for name, value in pairs.items())
    messages = []
    for at, name in enumerate(random.choices(list(pairs), k=random.randint(3, 7))):
        asked = f"{text}\n\n{name}?" if at == 0 else f"{name}?"
        messages += [Message("user", asked), Message("assistant", pairs[name])]
    return Conversation(tuple(messages))
