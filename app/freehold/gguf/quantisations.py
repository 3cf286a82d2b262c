"""Names of quantisations, as people and file names use them."""

from __future__ import annotations

import re
from typing import Final

# llama.cpp's `enum llama_ftype` (include/llama.h), the number in `general.file_type`.
BY_FILE_TYPE: Final[dict[int, str]] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0",
    38: "MXFP4", 39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
}  # fmt: skip

# Longest alternatives first; `UD-` marks Unsloth's mixes, `_XL` and the like their sizes.
_IN_NAME: Final = re.compile(
    r"(?<![A-Za-z0-9])"
    r"((?:UD-)?(?:IQ[1-4]_(?:XXS|XS|NL|S|M|L)|TQ[12]_0|Q[1-8]_K_(?:XXL|XL|XS|L|M|S)|Q[1-8]_K"
    r"|Q[1-8]_[01]|MXFP4(?:_MOE)?|NVFP4|BF16|F16|FP16|F32|FP32))"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)


def find_in_name(name: str) -> str | None:
    """Return the quantisation that a file or folder name ends on, in its usual spelling.

    The last one counts: `Model-F16-Q4_K_M.gguf` is Q4_K_M.
    """
    found = _IN_NAME.findall(name)
    if not found:
        return None
    text = str(found[-1]).upper()
    return text.replace("FP16", "F16").replace("FP32", "F32").replace("MXFP4_MOE", "MXFP4")
