"""Group a repository's files into variants: one item per quantisation, shards together.

Names come from strangers: a path that could leave its folder is not offered at all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from freehold.gguf.quantisations import find_in_name
from freehold.gguf.shards import group_names, parse_name
from freehold.library.naming import stem

LONGEST_PART_BYTES: Final = 255
_COMPANION: Final = re.compile(r"(mmproj|imatrix|[-_.]lora[-_.]|[-_.]draft[-_.])", re.IGNORECASE)
# Older ways of cutting a file, which llama.cpp cannot load as they are.
_RAW_PIECE: Final = re.compile(r"\.gguf[-.](part|split|\d)\S*$|\.gguf-split-[a-z]$", re.IGNORECASE)
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RepoFile:
    """A file as the hub lists it; sha256 is None where the hub does not say."""

    path: str
    bytes: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """What a person downloads as one: the files of one quantisation.

    missing: names of shards that the repository lacks; such a variant cannot be used.
    """

    name: str
    quant: str
    files: tuple[RepoFile, ...]
    missing: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def bits_per_weight(self, parameters: int) -> float | None:
        """Return the average bits a weight takes, if the number of weights is known."""
        return self.bytes * 8 / parameters if parameters > 0 else None


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository's files in groups.

    companions: projectors, adapters and the like; pieces: files cut in ways that are not used
    here; unsafe: names that are refused.
    """

    variants: tuple[Variant, ...]
    companions: tuple[RepoFile, ...] = ()
    pieces: tuple[RepoFile, ...] = ()
    unsafe: tuple[str, ...] = ()

    def find(self, wanted: str) -> Variant | None:
        """Return the variant of this name, whatever its case, or the only one of this quant."""
        folded = wanted.casefold()
        for variant in self.variants:
            if variant.name.casefold() == folded:
                return variant
        same = [v for v in self.variants if v.quant.casefold() == folded]
        return same[0] if len(same) == 1 else None


def group_variants(files: Iterable[RepoFile]) -> Listing:
    """Return the variants of a repository, smallest first."""
    by_path: dict[str, RepoFile] = {}
    unsafe, companions, pieces = [], [], []
    for file in files:
        if not is_safe_path(file.path):
            unsafe.append(file.path)
        elif _RAW_PIECE.search(file.path):
            pieces.append(file)
        elif file.path.lower().endswith(".gguf"):
            if _COMPANION.search(file.path.rpartition("/")[2]):
                companions.append(file)
            else:
                by_path[file.path] = file
    drafts = [
        _draft(tuple(by_path[name] for name in names))
        for names in group_names({path: file.bytes for path, file in by_path.items()})
    ]
    return Listing(
        variants=tuple(sorted(_named(drafts), key=lambda v: (v.bytes, v.name))),
        companions=tuple(companions),
        pieces=tuple(pieces),
        unsafe=tuple(unsafe),
    )


def is_safe_path(path: str) -> bool:
    """Return whether a path of a listing stays inside its folder on every system."""
    if not path or "\\" in path or ":" in path or not path.isprintable():
        return False
    parts = path.split("/")
    return all(
        part not in ("", ".", "..")
        and len(part.encode()) <= LONGEST_PART_BYTES
        and not part.endswith((" ", "."))
        and not _DEVICE.fullmatch(part)
        for part in parts
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    """A group of files before its name is known to be unique."""

    quant: str
    stem: str
    folder: str
    files: tuple[RepoFile, ...]
    missing: tuple[str, ...]


def _draft(files: tuple[RepoFile, ...]) -> _Draft:
    folder, _, name = files[0].path.rpartition("/")
    shard = parse_name(name)
    missing: tuple[str, ...] = ()
    if shard is not None:
        present = {file.path.rpartition("/")[2] for file in files}
        wanted = (shard.sibling(number) for number in range(1, shard.count + 1))
        missing = tuple(part for part in wanted if part not in present)
    quant = find_in_name(shard.stem if shard else name) or find_in_name(folder) or ""
    return _Draft(quant, stem(name), folder, files, missing)


def _named(drafts: list[_Draft]) -> list[Variant]:
    """Name variants by their quantisation, and by more where that is not enough."""
    levels: tuple[Literal["quant", "stem", "path"], ...] = ("quant", "stem", "path")
    names: dict[int, str] = {}
    for level in levels:
        open_drafts = [index for index in range(len(drafts)) if index not in names]
        proposals = {index: _name(drafts[index], level) for index in open_drafts}
        counts = Counter(name.casefold() for name in [*proposals.values(), *names.values()])
        for index, name in proposals.items():
            if name and (counts[name.casefold()] == 1 or level == "path"):
                names[index] = name
    return [
        Variant(names[index], draft.quant, draft.files, draft.missing)
        for index, draft in enumerate(drafts)
    ]


def _name(draft: _Draft, level: Literal["quant", "stem", "path"]) -> str:
    if level == "quant":
        return draft.quant
    if level == "stem":
        return f"{draft.stem}-{draft.quant}" if draft.quant else draft.stem
    return draft.files[0].path.removesuffix(".gguf")
