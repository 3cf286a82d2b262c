"""Models cut into several files: `Name-00001-of-00013.gguf` and so on, one model together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from freehold.gguf.faults import InvalidGgufError, quoted
from freehold.gguf.header import GgufHeader, TensorInfo, read_header
from freehold.gguf.source import open_file

MOST_SHARDS: Final = 999
_NAME: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.ASCII)


@dataclass(frozen=True, slots=True)
class ShardName:
    """A file name that says it is part `number` (from 1) of `count`."""

    stem: str
    number: int
    count: int

    def sibling(self, number: int) -> str:
        """Return the file name of another part."""
        return f"{self.stem}-{number:05d}-of-{self.count:05d}.gguf"


def parse_name(name: str) -> ShardName | None:
    """Return what a file name says about its place in a set, or None."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    shard = ShardName(match["stem"], int(match["number"]), int(match["count"]))
    return shard if 1 <= shard.number <= shard.count <= MOST_SHARDS else None


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A whole model on disk: its files in order, the first one's metadata, and all tensors.

    tensors: per file, in the order of `paths`.
    """

    paths: tuple[Path, ...]
    header: GgufHeader
    tensors: tuple[tuple[TensorInfo, ...], ...]
    bytes: int

    def all_tensors(self) -> tuple[TensorInfo, ...]:
        """Return the tensors of all files."""
        return tuple(tensor for part in self.tensors for tensor in part)


def read_model(path: Path) -> ModelFile:
    """Read and check a model: the file at `path`, or the whole set it belongs to.

    Raises: AppError `not_found`, `no_permission` or `invalid_model` with the reason.
    """
    paths = part_paths(path)
    headers = [_read(part) for part in paths]
    check_set([part.name for part in paths], headers)
    return ModelFile(
        paths=paths,
        header=headers[0],
        tensors=tuple(header.tensors for header in headers),
        bytes=sum(header.file_bytes for header in headers),
    )


def part_paths(path: Path) -> tuple[Path, ...]:
    """Return the paths of all files of the set that `path` is part of, first one first.

    Raises: AppError `invalid_model` that names the files that are missing.
    """
    name = parse_name(path.name)
    if name is None or not _is_there(path):
        return (path,)
    paths = tuple(path.with_name(name.sibling(n)) for n in range(1, name.count + 1))
    missing = [part.name for part in paths if not _is_there(part)]
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if missing[3:] else "")
        raise InvalidGgufError(
            path.name,
            f"{len(missing)} of its {name.count} files {'is' if len(missing) == 1 else 'are'}"
            f" missing: {shown}",
            "Put all files of the model into one folder.",
        )
    return paths


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder that may not be entered, a name that is too long
        return False


def check_set(names: Sequence[str], headers: Sequence[GgufHeader]) -> None:
    """Raise InvalidGgufError unless the files are the parts of one model, in order."""
    first = headers[0]
    declared = first.whole("split.count") or 1
    if len(headers) == 1 and declared <= 1:
        return
    if declared != len(headers):
        raise InvalidGgufError(
            names[0],
            f"it is part of a set of {declared} files, but its name says {len(headers)}",
            "Give the files their original names (…-00001-of-00013.gguf).",
        )
    architecture = first.text("general.architecture")
    seen: set[str] = set()
    for index, (name, header) in enumerate(zip(names, headers, strict=True)):
        if header.whole("split.no") != index or header.whole("split.count") != declared:
            raise _mixed(name, f"it says it is part {_part(header)}, not {index + 1} of {declared}")
        if header.text("general.architecture") not in (None, architecture):
            raise _mixed(name, "it belongs to a model of another architecture")
        for tensor in header.tensors:
            if tensor.name in seen:
                raise _mixed(name, f"tensor {quoted(tensor.name)} is in another file too")
            seen.add(tensor.name)
    total = first.whole("split.tensors.count")
    if total is not None and total != len(seen):
        raise _mixed(names[0], f"the set has {len(seen):,} tensors, not {total:,}")


def _part(header: GgufHeader) -> str:
    number, count = header.whole("split.no"), header.whole("split.count")
    return "nothing" if number is None or count is None else f"{number + 1} of {count}"


def _mixed(name: str, reason: str) -> InvalidGgufError:
    return InvalidGgufError(
        name,
        f"files of different models are mixed: {reason}",
        "Download the whole set again into an empty folder.",
    )


def _read(path: Path) -> GgufHeader:
    with open_file(path) as source:
        return read_header(source)


def group_names(names: Mapping[str, int]) -> tuple[tuple[str, ...], ...]:
    """Return file names grouped into models: shards together and in order, others alone.

    A set with missing files is returned as far as it is there; nothing is checked here.
    """
    groups: dict[tuple[str, int], list[tuple[int, str]]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        shard = parse_name(file)
        if shard is None:
            groups[(name, 0)] = [(1, name)]
        else:
            key = (f"{folder}/{shard.stem}", shard.count)
            groups.setdefault(key, []).append((shard.number, name))
    return tuple(tuple(name for _, name in sorted(members)) for members in groups.values())
