"""Becomes tesseract, after giving up what it does not need: files, memory, time, the network.

    python -I -m freehold.documents.tesseract_worker PROGRAM LANGUAGES

The picture comes as standard input; the words with their places leave as standard output (TSV).
"""

from __future__ import annotations

import os
import sys
from typing import Final

from freehold.documents.confinement import limit_resources, refuse_calls

CPU_S: Final = 60


def main() -> None:
    """Give up and become."""
    program, languages = sys.argv[1:3]
    limit_resources(CPU_S, CPU_S)
    refuse_calls(programs=False)  # its own start is a program's start
    os.execve(  # noqa: S606
        program,
        [program, "stdin", "stdout", "-l", languages, "--psm", "3", "tsv"],
        {"OMP_THREAD_LIMIT": "1", "LC_ALL": "C"},
    )


if __name__ == "__main__":
    main()
