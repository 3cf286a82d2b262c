"""The limits of reading files, stated once; a person is told when one is met."""

from __future__ import annotations

from typing import Final

MIB: Final = 1 << 20

# Of one chat or question, and of a server without those in collections.
MAX_FILES: Final = 200
MAX_DOCUMENTS: Final = 5_000
MAX_FILE_BYTES: Final = 500 * MIB
MAX_PAGES: Final = 5_000
MAX_CHARACTERS: Final = 40_000_000
MAX_CELLS: Final = 2_000_000
MAX_COLLECTION_FILES: Final = 5_000
MAX_PICTURE_PIXELS: Final = 60_000_000

# Plain text is held in memory several times over while it is decoded.
MAX_TEXT_BYTES: Final = 100 * MIB

# Packed formats (Office, OpenDocument, EPUB)
MAX_MEMBERS: Final = 20_000
MAX_MEMBER_BYTES: Final = 256 * MIB
MAX_UNPACKED_BYTES: Final = 768 * MIB
MAX_RATIO: Final = 200
RATIO_MATTERS_BYTES: Final = 4 * MIB

# The parser process
PARSER_MEMORY_BYTES: Final = 1 << 30
PARSER_CPU_S: Final = 30
PARSER_CPU_A_PAGE_S: Final = 0.5
PARSER_CPU_MOST_S: Final = 900
PARSER_SILENCE_S: Final = 60.0
MAX_OUTPUT_BYTES: Final = 256 * MIB

SCAN_CHARACTERS_A_PAGE: Final = 16
