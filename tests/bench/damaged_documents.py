"""500 damaged files through the parser: how many were read, refused by code, and in what time.

PYTHONPATH=app:tests python tests/bench/damaged_documents.py [COUNT]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "app")]

from doubles.document_files import MAKERS, PICTURES  # noqa: E402
from security.test_damaged_documents import read_damaged  # noqa: E402


def main() -> int:
    """Read them and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    kinds = [ending for ending in (*MAKERS, *PICTURES) if ending not in ("py", "txt")]
    ends: Counter[str] = Counter()
    longest = 0.0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            started = time.monotonic()
            ends[read_damaged(Path(folder), kinds[number % len(kinds)], number)] += 1
            longest = max(longest, time.monotonic() - started)
    print(f"{count} damaged files in {time.monotonic() - began:.1f} s, the longest {longest:.1f} s")
    for end, number in ends.most_common():
        print(f"  {end:24} {number}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
