"""Comparing chat templates line by line."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.errors import AppError
from freehold.library.comparing import compare


def test_what_is_the_same_is_not_shown() -> None:
    assert compare("a\r\nb\n", "a\nb", "x").same
    assert compare("", "", "x").same


def test_changes_stand_with_three_lines_around_them() -> None:
    old = [f"line {n}" for n in range(20)]
    new = [*old[:10], "changed", *old[11:]]
    found = compare("\n".join(new), "\n".join(old), "other")
    kinds = [line.kind for line in found.lines]
    assert kinds == ["gap", *["same"] * 3, "removed", "added", *["same"] * 3, "gap"]
    assert (found.added, found.removed, found.other) == (1, 1, "other")


@given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("abc"), max_size=30))
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost(old: list[str], new: list[str]) -> None:
    found = compare("\n".join(new), "\n".join(old), "x")
    if found.same:
        return
    added = [line.text for line in found.lines if line.kind == "added"]
    removed = [line.text for line in found.lines if line.kind == "removed"]
    assert len("\n".join(new).strip("\n").split("\n")) - len(added) == len(
        "\n".join(old).strip("\n").split("\n")
    ) - len(removed)


def test_a_hostile_template_does_not_take_minutes() -> None:
    dice = random.Random(1)
    old = "\n".join(dice.choice("ab") for _ in range(3_999))
    new = "\n".join(dice.choice("ab") for _ in range(3_999))
    began = time.process_time()
    compare(new, old, "x")
    assert time.process_time() - began < 20
    with pytest.raises(AppError):
        compare("\n".join("ab" * 3_000), old, "x")
