"""Damaged files of every kind: each is read, or is one error that names it; nothing else happens.

The short form of `tests/bench/damaged_documents.py`, which takes 500 of them.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from doubles.document_corpus import mutate
from doubles.document_files import MAKERS, PICTURES, put
from freehold.documents.parsing import parse_file
from freehold.errors import AppError

EACH = 3
FINE_CODES = {
    "invalid_document",
    "encrypted_document",
    "unsupported_media_type",
    "payload_too_large",
}


def read_damaged(folder: Path, ending: str, seed: int) -> str:
    """Damage a file, read it, and return how it ended; anything but AppError is raised."""
    data = mutate((MAKERS | PICTURES)[ending](), random.Random(f"{ending}-{seed}"))
    path = put(folder, f"damaged-{seed}.{ending}", data)
    refusal: AppError | None = None
    try:
        document = parse_file(path)
    except AppError as error:
        refusal = error
    if refusal is None:
        assert document.pages[-1].end == len(document.text)
        return "read"
    assert refusal.code in FINE_CODES, (refusal.code, refusal.message)
    assert path.name in refusal.message
    assert refusal.hint
    return refusal.code


@pytest.mark.parametrize("ending", [*(e for e in MAKERS if e not in ("py", "txt")), "jpg"])
def test_damage_is_one_error(ending: str, tmp_path: Path) -> None:
    began = time.monotonic()
    for seed in range(EACH):
        read_damaged(tmp_path, ending, seed)
    assert time.monotonic() - began < 60 * EACH
