"""ggml's tensor types: their numbers in a GGUF file, and how many bytes a block of values takes.

Source: `ggml.h` (enum ggml_type) and the `static_assert`s of `ggml-common.h`, as of the pinned
llama.cpp. `tests/engine/test_ggml_types.py` compares the table with the engine's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class GgmlType:
    """A tensor type: `block_values` values are stored in `block_bytes` bytes."""

    number: int
    name: str
    block_values: int
    block_bytes: int

    @property
    def bits_per_weight(self) -> float:
        return self.block_bytes * 8 / self.block_values

    def row_bytes(self, values: int) -> int:
        """Return the bytes of a row of `values` values.

        Raises: ValueError if the row is not a whole number of blocks.
        """
        blocks, rest = divmod(values, self.block_values)
        if rest:
            raise ValueError(
                f"a row of {values} values is not a whole number of {self.name} blocks"
                f" of {self.block_values}"
            )
        return blocks * self.block_bytes


F32: Final = GgmlType(0, "F32", 1, 4)
F16: Final = GgmlType(1, "F16", 1, 2)
Q4_0: Final = GgmlType(2, "Q4_0", 32, 18)
Q8_0: Final = GgmlType(8, "Q8_0", 32, 34)
Q4_K: Final = GgmlType(12, "Q4_K", 256, 144)
Q6_K: Final = GgmlType(14, "Q6_K", 256, 210)

BY_NUMBER: Final[dict[int, GgmlType]] = {
    kind.number: kind
    for kind in (
        F32,
        F16,
        Q4_0,
        GgmlType(3, "Q4_1", 32, 20),
        GgmlType(6, "Q5_0", 32, 22),
        GgmlType(7, "Q5_1", 32, 24),
        Q8_0,
        GgmlType(9, "Q8_1", 32, 36),
        GgmlType(10, "Q2_K", 256, 84),
        GgmlType(11, "Q3_K", 256, 110),
        Q4_K,
        GgmlType(13, "Q5_K", 256, 176),
        Q6_K,
        GgmlType(15, "Q8_K", 256, 292),
        GgmlType(16, "IQ2_XXS", 256, 66),
        GgmlType(17, "IQ2_XS", 256, 74),
        GgmlType(18, "IQ3_XXS", 256, 98),
        GgmlType(19, "IQ1_S", 256, 50),
        GgmlType(20, "IQ4_NL", 32, 18),
        GgmlType(21, "IQ3_S", 256, 110),
        GgmlType(22, "IQ2_S", 256, 82),
        GgmlType(23, "IQ4_XS", 256, 136),
        GgmlType(24, "I8", 1, 1),
        GgmlType(25, "I16", 1, 2),
        GgmlType(26, "I32", 1, 4),
        GgmlType(27, "I64", 1, 8),
        GgmlType(28, "F64", 1, 8),
        GgmlType(29, "IQ1_M", 256, 56),
        GgmlType(30, "BF16", 1, 2),
        GgmlType(34, "TQ1_0", 256, 54),
        GgmlType(35, "TQ2_0", 256, 66),
        GgmlType(39, "MXFP4", 32, 17),
        GgmlType(40, "NVFP4", 64, 36),
        GgmlType(41, "Q1_0", 128, 18),
        GgmlType(42, "Q2_0", 64, 18),
    )
}

# Numbers llama.cpp once used and refuses today, with what to do about them.
REMOVED: Final[dict[int, str]] = {
    4: "Q4_2",
    5: "Q4_3",
    31: "Q4_0_4_4",
    32: "Q4_0_4_8",
    33: "Q4_0_8_8",
    36: "IQ4_NL_4_4",
    37: "IQ4_NL_4_8",
    38: "IQ4_NL_8_8",
}
