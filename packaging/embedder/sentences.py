"""The sentences on which the converted embedder is compared with the reference."""

from __future__ import annotations

import random

ENGLISH = [
    "The invoice is due on {d} March and amounts to {n} euros.",
    "Kimi K2 sends each token to 8 of its 384 experts.",
    "A graphics card with {n} gigabytes of memory does not hold the model.",
    "She signed the contract in {c} after the {d}th meeting.",
    "How do I connect my editor to the server on this machine?",
    "Owning a model is like having a car rather than buying a train ticket.",
    "The minutes of the {c} meeting list {n} open questions.",
    "Please translate the attached specification before Friday.",
    "Temperature {n}, pressure {d}: the sensor was recalibrated in {c}.",
    "def read_header(path: str) -> dict[str, int]: return {{}}",
]
RUSSIAN = [
    "Счёт на сумму {n} рублей нужно оплатить до {d} марта.",
    "Модель помещается в оперативную память, но не в видеопамять.",
    "Договор подписан в городе {c} после {d}-й встречи.",
    "Как подключить редактор к серверу на этом компьютере?",
    "Владеть моделью — всё равно что иметь свой автомобиль.",
]
CITIES = ["Leipzig", "Oslo", "Казань", "Lyon", "São Paulo", "Łódź", "Tōkyō", "Самара"]


def sentences(count: int = 200, seed: int = 7) -> list[str]:
    """Return `count` different texts: two thirds English, one third Russian, every tenth long."""
    draw = random.Random(seed)  # noqa: S311 - picks sentences, keeps no secrets
    found: list[str] = []
    seen: set[str] = set()
    while len(found) < count:
        pool = RUSSIAN if len(found) % 3 == 2 else ENGLISH
        pieces = 1 if len(found) % 10 else draw.randrange(8, 12)
        text = " ".join(
            draw.choice(pool).format(
                n=draw.randrange(2, 9999), d=draw.randrange(1, 29), c=draw.choice(CITIES)
            )
            for _ in range(pieces)
        )
        if text not in seen or draw.random() < 0.02:
            text = text if text not in seen else f"{text} ({len(found)})"
            seen.add(text)
            found.append(text)
    return found
