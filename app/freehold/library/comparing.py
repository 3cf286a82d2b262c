"""Compare two chat templates line by line."""

from __future__ import annotations

import difflib
from typing import Final

from freehold.errors import AppError
from freehold.wire_files import DiffLine, TemplateComparison

AROUND: Final = 3
MOST_LINES: Final = 4_000
LONGEST_LINE: Final = 4_000


def compare(this: str, that: str, other: str) -> TemplateComparison:
    """Return what `this` has more and less than `that`, which is `other`'s.

    Takes up to a second for the longest templates; call it in a thread.
    Raises: AppError `not_supported` for templates longer than any model's.
    """
    old, new = _lines(that), _lines(this)
    if max(len(old), len(new)) > MOST_LINES:
        raise AppError(
            "not_supported",
            f"The templates are too long to compare: more than {MOST_LINES:,} lines.",
            "Copy both and compare them in an editor.",
        )
    if old == new:
        return TemplateComparison(other=other, same=True)
    lines: list[DiffLine] = []
    # Lines that come again and again are passed over: a hostile template would take minutes.
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=True)
    for number, group in enumerate(matcher.get_grouped_opcodes(AROUND)):
        if number or group[0][1] > 0:
            lines.append(DiffLine("gap", ""))
        for tag, old_start, old_end, new_start, new_end in group:
            if tag == "equal":
                lines += [DiffLine("same", text) for text in new[new_start:new_end]]
                continue
            lines += [DiffLine("removed", text) for text in old[old_start:old_end]]
            lines += [DiffLine("added", text) for text in new[new_start:new_end]]
        rest = len(old) - group[-1][2]
    if rest:
        lines.append(DiffLine("gap", ""))
    return TemplateComparison(
        other=other,
        same=False,
        added=sum(line.kind == "added" for line in lines),
        removed=sum(line.kind == "removed" for line in lines),
        lines=tuple(lines),
    )


def _lines(text: str) -> list[str]:
    # A newline at the end and Windows' line ends say nothing about a template.
    return [line[:LONGEST_LINE] for line in text.replace("\r\n", "\n").strip("\n").split("\n")]
