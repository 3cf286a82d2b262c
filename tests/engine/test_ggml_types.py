"""The table of tensor types is the engine's own."""

from __future__ import annotations

import ctypes

import pytest

from freehold.gguf.ggml_types import BY_NUMBER, REMOVED

pytestmark = pytest.mark.engine


def test_the_table_matches_ggml() -> None:
    library = pytest.importorskip("llama_cpp._ggml").libggml
    library.ggml_type_name.restype = ctypes.c_char_p
    library.ggml_blck_size.restype = ctypes.c_int64
    library.ggml_type_size.restype = ctypes.c_size_t
    for number, kind in BY_NUMBER.items():
        assert library.ggml_type_name(number).decode().lower() == kind.name.lower()
        assert library.ggml_blck_size(number) == kind.block_values, kind.name
        assert library.ggml_type_size(number) == kind.block_bytes, kind.name
    assert max(BY_NUMBER) + 1 == pytest.importorskip("llama_cpp").GGML_TYPE_COUNT
    assert set(range(max(BY_NUMBER) + 1)) == set(BY_NUMBER) | set(REMOVED)
