"""Find the models other programs and the person have on this machine, and use them in place.

Nothing is copied, changed or deleted here. A search is bounded in depth, files and time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from freehold.gguf.shards import parse_name

DEEPEST: Final = 8
MOST_FILES: Final = 200_000
MOST_FOLDERS: Final = 20_000
LONGEST_S: Final = 20.0
LARGEST_MANIFEST_BYTES: Final = 1 << 20
OLLAMA_MODEL_LAYER: Final = "application/vnd.ollama.image.model"


@dataclass(frozen=True, slots=True)
class Root:
    """A folder to search: whose it is and how models lie in it."""

    path: Path
    origin: str
    layout: str = "files"


@dataclass(frozen=True, slots=True)
class Found:
    """A model's first file; `ref` is the name its program gives it, "" where it has none."""

    path: Path
    origin: str
    ref: str = ""


def known_roots(environment: Mapping[str, str], home: Path) -> tuple[Root, ...]:
    """Return the folders where other programs keep their models, whether or not they exist."""
    cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    hub = environment.get("HF_HUB_CACHE")
    hf_home = Path(environment.get("HF_HOME") or cache / "huggingface")
    ollama = environment.get("OLLAMA_MODELS")
    llama_cache = environment.get("LLAMA_CACHE")
    return (
        Root(Path(hub) if hub else hf_home / "hub", "Hugging Face", "hub"),
        Root(home / ".lmstudio" / "models", "LM Studio", "owner"),
        Root(cache / "lm-studio" / "models", "LM Studio", "owner"),
        Root(Path(ollama) if ollama else home / ".ollama" / "models", "Ollama", "ollama"),
        Root(Path("/usr/share/ollama/.ollama/models"), "Ollama", "ollama"),
        Root(data / "Jan" / "data" / "llamacpp" / "models", "Jan"),
        Root(config / "Jan" / "data" / "llamacpp" / "models", "Jan"),
        Root(home / "jan" / "models", "Jan"),
        Root(Path(llama_cache) if llama_cache else cache / "llama.cpp", "llama.cpp"),
    )


def find_models(roots: Sequence[Root], *, longest_s: float = LONGEST_S) -> list[Found]:
    """Return the models below `roots`, each file once (links resolved), shard sets once.

    Blocks; call it in a thread.
    """
    deadline = time.monotonic() + longest_s
    seen: set[str] = set()
    found = []
    for root in roots:
        for item in _LAYOUTS[root.layout](root, deadline):
            real = os.path.realpath(item.path)
            if real not in seen:
                seen.add(real)
                found.append(item)
    return found


def folder_marks(roots: Sequence[Root], *, longest_s: float = LONGEST_S) -> dict[str, int]:
    """Return the folders below `roots` with their times of change.

    A file that comes, goes or takes another name changes its folder. Blocks.
    """
    deadline = time.monotonic() + longest_s
    marks: dict[str, int] = {}
    for root in roots:
        for here, folders, _ in os.walk(root.path, followlinks=False):
            depth = len(Path(here).relative_to(root.path).parts)
            folders[:] = folders if depth < DEEPEST else []
            marks[here] = _changed_ns(here)
            if len(marks) >= MOST_FOLDERS or time.monotonic() > deadline:
                return marks
        marks.setdefault(str(root.path), _changed_ns(str(root.path)))
    return marks


def marks_changed(marks: Mapping[str, int]) -> bool:
    """Return whether any of these folders is another than it was. Blocks."""
    return any(_changed_ns(path) != mark for path, mark in marks.items())


def _changed_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - thousands of times in a row
    except OSError:
        return 0


def _plain(root: Root, deadline: float) -> Iterator[Found]:
    for path in _gguf_files(root.path, deadline):
        yield Found(path, root.origin)


def _by_owner(root: Root, deadline: float) -> Iterator[Found]:
    """LM Studio: OWNER/REPO/file.gguf."""
    for path in _gguf_files(root.path, deadline):
        parts = path.relative_to(root.path).parts
        yield Found(path, root.origin, "/".join(parts[:2]) if len(parts) >= 3 else "")


def _hub(root: Root, deadline: float) -> Iterator[Found]:
    """Hugging Face: models--OWNER--REPO/snapshots/REVISION/…, links into blobs."""
    for path in _gguf_files(root.path, deadline):
        parts = path.relative_to(root.path).parts
        if len(parts) < 4 or parts[1] != "snapshots" or not parts[0].startswith("models--"):
            continue
        if path.exists():  # a link whose blob is gone is no model
            yield Found(path, root.origin, parts[0].removeprefix("models--").replace("--", "/"))


def _ollama(root: Root, deadline: float) -> Iterator[Found]:
    """Ollama: a manifest names the blob that holds the weights."""
    for path in _walk(root.path / "manifests", deadline):
        blob = _model_blob(path)
        if blob is None:
            continue
        file = root.path / "blobs" / blob
        parts = path.relative_to(root.path / "manifests").parts
        if len(parts) >= 3 and file.is_file():
            owner = "" if parts[-3] == "library" else f"{parts[-3]}/"
            yield Found(file, root.origin, f"{owner}{parts[-2]}-{parts[-1]}")


def _model_blob(manifest: Path) -> str | None:
    """Return the file name of the blob a manifest names, if it is a plain digest."""
    try:
        if not manifest.is_file() or manifest.stat().st_size > LARGEST_MANIFEST_BYTES:
            return None
        layers = json.loads(manifest.read_bytes())["layers"]
        digest = next(
            layer["digest"] for layer in layers if layer["mediaType"] == OLLAMA_MODEL_LAYER
        )
        algorithm, _, value = str(digest).partition(":")
        ok = algorithm == "sha256" and len(value) == 64 and int(value, 16) >= 0
    except (OSError, ValueError, KeyError, TypeError, StopIteration, RecursionError):
        return None
    return f"sha256-{value}" if ok else None


_LAYOUTS: Final = {"files": _plain, "owner": _by_owner, "hub": _hub, "ollama": _ollama}


def _gguf_files(folder: Path, deadline: float) -> Iterator[Path]:
    for path in _walk(folder, deadline):
        shard = parse_name(path.name)
        first = shard is None or shard.number == 1
        if path.name.lower().endswith(".gguf") and first and not path.name.startswith("."):
            yield path


def _walk(folder: Path, deadline: float) -> Iterator[Path]:
    """Yield files below `folder`, not following links to folders, within the bounds."""
    count = 0
    for here, folders, files in os.walk(folder, followlinks=False):
        depth = len(Path(here).relative_to(folder).parts)
        folders[:] = sorted(folders) if depth < DEEPEST else []
        for name in sorted(files):
            count += 1
            if count > MOST_FILES or time.monotonic() > deadline:
                return
            yield Path(here) / name
