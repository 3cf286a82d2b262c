"""What the starter model is taught about Freehold, read from `guide/*.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "guide"
LANGUAGES: Final = ("en", "ru")
KINDS: Final = ("guide", "manners")
REQUIRED: Final = frozenset({"id", "language", "questions", "held_out", "answer", "key_facts"})
FIELDS: Final = REQUIRED | {"kind", "page"}


class GuideError(ValueError):
    """Say what is wrong with a guide file."""


@dataclass(frozen=True, slots=True)
class GuideItem:
    """One subject in one language: ways to ask, the answer, and what an answer must hold.

    page: the help page that holds its facts, "" for none.
    """

    id: str
    language: str
    kind: str
    page: str
    questions: tuple[str, ...]
    held_out: tuple[str, ...]
    answer: str
    key_facts: tuple[tuple[str, ...], ...]

    def is_answered_by(self, text: str) -> bool:
        """Return whether `text` holds every key fact in one of its wordings."""
        plain = fold(text)
        return all(any(fold(word) in plain for word in ways) for ways in self.key_facts)


def fold(text: str) -> str:
    """Return text for comparing: lower case, one kind of space, e for Russian yo."""
    return " ".join(text.lower().replace("ё", "е").split())


def read_guide(folder: Path = FOLDER) -> tuple[GuideItem, ...]:
    """Return every item of the folder's TOML files, in order of file name; refuse bad ones."""
    items: list[GuideItem] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise GuideError(f"{path.name}: {error}") from error
        items += [_read_item(entry, path.name) for entry in document.get("item", [])]
    check_items(items)
    return tuple(items)


def check_items(items: Iterable[GuideItem]) -> None:
    """Refuse items that share an id, or a question that is both trained on and held out."""
    seen: set[tuple[str, str]] = set()
    trained: dict[str, str] = {}
    held: dict[str, str] = {}
    for item in items:
        if (item.id, item.language) in seen:
            raise GuideError(f"{item.id} ({item.language}) is there twice.")
        seen.add((item.id, item.language))
        for question in item.questions:
            other = trained.setdefault(fold(question), item.id)
            if other != item.id:
                raise GuideError(f"{question!r} asks for both {other} and {item.id}.")
        held |= {fold(question): item.id for question in item.held_out}
    for question in held.keys() & trained.keys():
        raise GuideError(f"{question!r} of {held[question]} is both trained on and held out.")


def _read_item(entry: dict[str, Any], file: str) -> GuideItem:
    name = f"{file}: {entry.get('id', 'an item without id')} ({entry.get('language')})"
    if unknown := entry.keys() - FIELDS:
        raise GuideError(f"{name}: unknown field {', '.join(sorted(unknown))}.")
    if missing := REQUIRED - entry.keys():
        raise GuideError(f"{name}: no {', '.join(sorted(missing))}.")
    item = GuideItem(
        id=entry["id"],
        language=entry["language"],
        kind=entry.get("kind", "guide"),
        page=entry.get("page", ""),
        questions=tuple(entry["questions"]),
        held_out=tuple(entry["held_out"]),
        answer=entry["answer"].strip(),
        key_facts=tuple(tuple(ways) for ways in entry["key_facts"]),
    )
    if item.language not in LANGUAGES or item.kind not in KINDS:
        raise GuideError(f"{name}: language is one of {LANGUAGES}, kind one of {KINDS}.")
    if not item.questions or not item.answer:
        raise GuideError(f"{name}: it needs a question and an answer.")
    if not item.is_answered_by(item.answer):
        raise GuideError(f"{name}: its own answer does not hold its key facts.")
    return item
