"""Real, tiny models for tests: random weights, made once and kept between runs.

    from doubles.models import tiny_model, ending_model, small_model, tiny_llama, tiny_embedder

Each returns the path of a GGUF file that llama.cpp loads. The files are shared by all tests and
processes: never write to them (copy or `write_model` your own into `tmp_path` instead).
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from freehold.gguf import ggml_types, writer
from freehold.library import model_maker
from freehold.library.model_maker.recipe import Recipe, kimi_template, write_model


def tiny_model() -> Path:
    """Return Kimi K2's architecture with 384 experts in a few MB; loads in a moment."""
    return _cached("tiny-kimi", lambda path: write_model(path, Recipe(kind="kimi", size="tiny")))


def ending_model() -> Path:
    """Return `tiny_model` whose answers end by themselves after some dozen tokens."""
    recipe = Recipe(kind="kimi", size="tiny", answer_tokens=30, name="Random ending model")
    return _cached("tiny-ending", lambda path: write_model(path, recipe))


def small_model() -> Path:
    """Return Kimi K2's architecture in about 130 MB, with K-quantised experts."""
    return _cached("small-kimi", lambda path: write_model(path, Recipe(kind="kimi", size="small")))


def tiny_llama() -> Path:
    """Return a dense model with fill-in-the-middle tokens and a ChatML template."""
    return _cached("tiny-llama", lambda path: write_model(path, Recipe(kind="llama", size="tiny")))


def tiny_embedder() -> Path:
    """Return a BERT with mean pooling, for embeddings."""
    return _cached("tiny-bert", lambda path: write_model(path, Recipe(kind="bert", size="tiny")))


def cache_folder() -> Path:
    """Return where the models are kept between runs."""
    root = os.environ.get("FREEHOLD_BUILD_CACHE")
    if root is None:
        # Not XDG_CACHE_HOME of the test, which may be a fresh folder each time.
        root = str(Path.home() / ".cache" / "freehold-build")
    return Path(root) / "models"


@functools.cache
def _sources_hash() -> str:
    folder = Path(model_maker.__file__).parent
    files = [*sorted(folder.glob("*.py")), Path(ggml_types.__file__), Path(writer.__file__)]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    digest.update(kimi_template().encode())
    return digest.hexdigest()[:12]


def _cached(name: str, make: Callable[[Path], object]) -> Path:
    folder = cache_folder()
    path = folder / f"{name}-{_sources_hash()}.gguf"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            make(path)
            for old in folder.glob(f"{name}-*.gguf"):
                if old != path:
                    old.unlink(missing_ok=True)
    return path
