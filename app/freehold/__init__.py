"""Freehold: own the language models you use."""

import sys
from typing import Any, Final

__version__ = "0.1.0"

# httpx loads its own command line with itself, and that click, pygments and rich where they are:
# 25 to 60 ms of every start for something nobody calls. `None` makes Python refuse the import,
# which httpx takes for "not installed".
_modules: Final[dict[str, Any]] = sys.modules
_modules.setdefault("httpx._main", None)
