"""The catalogue that comes with Freehold."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from freehold.errors import AppError
from freehold.gguf.architectures import KNOWN
from freehold.gguf.quantisations import find_in_name
from freehold.library.catalog import read_catalog


def test_it_begins_with_kimi_and_holds_the_rest() -> None:
    models = read_catalog()
    assert [model.family for model in models[:5]] == ["Kimi"] * 5
    families = {model.family for model in models}
    assert {"DeepSeek", "gpt-oss", "Qwen", "GLM"} <= families
    assert {model.kind for model in models} == {"chat", "embedding"}


def test_every_entry_makes_sense() -> None:
    models = read_catalog()
    assert len({model.repository for model in models}) == len(models)
    for model in models:
        assert model.architecture in KNOWN, model.name
        assert model.active_parameters <= model.parameters
        assert 0 <= model.experts_used <= model.experts
        if model.checked_on is not None:
            assert model.checked_on >= datetime.date(2026, 1, 1)
        assert model.checked_on is not None or not model.variants
        sizes = [variant.about_bytes for variant in model.variants]
        assert sizes == sorted(sizes)
        for variant in model.variants:
            assert find_in_name(variant.name) == variant.name
            bits = variant.about_bytes * 8 / model.parameters
            assert 1 < bits < 9, (model.name, variant.name, bits)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "schema = 2\nmodel = []",
        "schema = 1\nmodel = [{ name = 'x' }]",
        "schema = 1\nmodel = []\nextra = 1",
        "not toml",
    ],
)
def test_a_broken_catalogue_is_said_to_be_one(tmp_path: Path, text: str) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(text)
    with pytest.raises(AppError, match="cannot be read") as caught:
        read_catalog(file)
    assert caught.value.code == "storage_failed"
    with pytest.raises(AppError, match="cannot be read"):
        read_catalog(tmp_path / "none.toml")
