"""Files of a repository become variants."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.library.variants import Listing, RepoFile, group_variants, is_safe_path


def listing(*paths: str) -> Listing:
    return group_variants([RepoFile(path, 10) for path in paths])


def names(found: Listing) -> list[str]:
    return [variant.name for variant in found.variants]


def test_shards_are_one_item_and_smaller_comes_first() -> None:
    found = group_variants(
        [
            RepoFile("README.md", 1),
            RepoFile("Q8/K2-Q8_0-00002-of-00002.gguf", 60),
            RepoFile("Q8/K2-Q8_0-00001-of-00002.gguf", 50),
            RepoFile("UD-TQ1_0/K2-UD-TQ1_0-00001-of-00001.gguf", 30),
        ]
    )
    small, large = found.variants
    assert (small.name, small.bytes) == ("UD-TQ1_0", 30)
    assert (large.name, large.quant, large.bytes) == ("Q8_0", "Q8_0", 110)
    assert [file.path[-19:] for file in large.files] == [
        "-00001-of-00002.gguf"[1:],
        "-00002-of-00002.gguf"[1:],
    ]
    assert large.missing == ()
    assert large.bits_per_weight(110) == 8.0
    assert large.bits_per_weight(0) is None


def test_missing_shards_are_named() -> None:
    (variant,) = listing("K2-Q4_K_M-00001-of-00003.gguf", "K2-Q4_K_M-00003-of-00003.gguf").variants
    assert variant.missing == ("K2-Q4_K_M-00002-of-00003.gguf",)


def test_companions_and_pieces_are_apart() -> None:
    found = listing(
        "m-Q4_K_M.gguf",
        "mmproj-F16.gguf",
        "m.imatrix.gguf",
        "m-Q8_0.gguf.part1of2",
        "m.gguf-split-a",
    )
    assert names(found) == ["Q4_K_M"]
    assert [file.path for file in found.companions] == ["mmproj-F16.gguf", "m.imatrix.gguf"]
    assert len(found.pieces) == 2


def test_names_stay_unique() -> None:
    assert names(listing("a-Q4_0.gguf", "b-Q4_0.gguf", "b-Q8_0.gguf")) == [
        "Q8_0",
        "a-Q4_0",
        "b-Q4_0",
    ]
    assert names(listing("x/a-Q4_0.gguf", "y/a-Q4_0.gguf")) == ["x/a-Q4_0", "y/a-Q4_0"]
    assert names(listing("tiny.gguf")) == ["tiny"]
    assert names(listing("BF16/tiny.gguf")) == ["BF16"]


def test_find() -> None:
    found = listing("a-Q4_K_M.gguf", "a-Q8_0.gguf")
    variant = found.find("q4_k_m")
    assert variant is not None
    assert variant.quant == "Q4_K_M"
    assert found.find("Q2_K") is None
    assert listing("a-Q4_0.gguf", "b-Q4_0.gguf").find("Q4_0") is None


@pytest.mark.parametrize(
    "path",
    [
        "../up.gguf", "a/../../up.gguf", "/etc/x.gguf", "a//b.gguf", "./a.gguf", "..", "",
        "a\\b.gguf", "C:x.gguf", "a\0b.gguf", "a\nb.gguf", "x" * 300 + ".gguf", "nul.gguf",
        "com1/a.gguf", "a /b.gguf", "a./b.gguf", "\u202efgpg.gguf",
    ],
)  # fmt: skip
def test_malicious_names_are_not_offered(path: str) -> None:
    assert not is_safe_path(path)
    found = listing(path, "good-Q4_0.gguf")
    assert found.unsafe == (path,)
    assert names(found) == ["Q4_0"]


@given(
    st.lists(
        st.from_regex(
            r"([ab]{1,2}/)?[km]{1,2}(-Q4_0|-F16)?(-0000[0-4]-of-0000[1-4])?\.gguf", fullmatch=True
        ),
        max_size=12,
        unique=True,
    )
)
def test_every_file_is_in_one_variant_and_names_are_unique(paths: list[str]) -> None:
    found = listing(*paths)
    placed = [file.path for variant in found.variants for file in variant.files]
    assert sorted(placed) == sorted(paths)
    folded = [name.casefold() for name in names(found)]
    assert len(set(folded)) == len(folded)
    for variant in found.variants:
        assert found.find(variant.name) == variant


def test_a_terabyte_in_33_shards_is_quick() -> None:
    files = [
        RepoFile(f"Q{q}/K3-Q{q}_K-{n:05d}-of-00033.gguf", 30_000_000_000)
        for q in range(2, 9)
        for n in range(1, 34)
    ]
    started = time.process_time()
    found = group_variants(files)
    assert time.process_time() - started < 0.1
    assert len(found.variants) == 7
    assert found.variants[0].bytes == 990_000_000_000
