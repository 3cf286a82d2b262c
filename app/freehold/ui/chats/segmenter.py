"""Cut a growing Markdown reply into segments that can be drawn one by one.

Drawing the whole reply for each token is quadratic. A reply is therefore cut into segments; all but
the last are *frozen*: they never change again, so they are drawn once. Whatever the cuts, the
segments joined are the input, and how the input was chunked makes no difference.

Prose is cut at block ends near `TARGET_CHARS`; a code fence or a table is a segment of its own,
whatever its length, because its view appends instead of drawing again.
"""

from __future__ import annotations

import re
from typing import Final

from freehold.ui.chats.segment import FENCE, THINK_CLOSE, THINK_OPEN, Kind, Segment, cells

TARGET_CHARS: Final = 4_000  # prose ends at the first block end beyond this
ITEM_CHARS: Final = 5_000  # or at a list item
LINE_CHARS: Final = 6_000  # or at any line
HARD_CHARS: Final = 8_000  # or inside a line, at a space
LOOK_CHARS: Final = 1_024  # a line is judged by its beginning: enough for fences and table rules
_SPACE_REACH: Final = 1_000  # how far back a space is looked for when a line must be cut

_ITEM = re.compile(r"^( *)([-*+]|\d{1,9}[.)])( +|$)")
_RULE_ROW = re.compile(r"^ {0,3}\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_BLOCK_START = re.compile(r"^ {0,3}(#{1,6}(\s|$)|>|([-*_])[ \t]*(\3[ \t]*){2,}$)")


class Segmenter:
    """Segments of one reply; `feed` what comes, `finish` when nothing more comes."""

    def __init__(self) -> None:
        self._frozen: list[Segment] = []
        self._kind = Kind.PROSE
        self._pieces: list[str] = []  # the open segment
        self._length = 0
        self._indent = 0
        self._language = ""
        self._line = ""  # the beginning of a line not judged yet
        self._inside_line = False  # the rest of a line judged by its beginning
        self._fence = ""
        self._items: list[int] = []  # content columns of the list items we are in
        self._after_blank = True
        self._prose_line = ""  # the line before, when it may turn out to be a table's header
        self._started = False
        self._finished = False

    @property
    def frozen_count(self) -> int:
        """Return how many segments will not change any more."""
        return len(self._frozen)

    @property
    def open_kind(self) -> Kind:
        """Return the kind of the segment that still grows."""
        return self._kind

    def segment(self, index: int) -> Segment:
        """Return one segment; the one behind the frozen ones is the open one."""
        if index < len(self._frozen):
            return self._frozen[index]
        return self._open_segment()

    def segments(self) -> tuple[Segment, ...]:
        """Return all segments in order; joined they are what was fed."""
        tail = self._open_segment()
        return (*self._frozen, tail) if tail.text else tuple(self._frozen)

    def feed(self, text: str) -> None:
        """Take more of the reply."""
        if self._finished:
            raise ValueError("the reply is finished")
        start, end = 0, len(text)
        while start < end:
            newline = text.find("\n", start)
            stop = end if newline < 0 else newline + 1
            self._take(text[start:stop])
            start = stop

    def finish(self) -> None:
        """Freeze the last segment."""
        line, self._line = self._line, ""
        if line and self._begins_thinking(line):
            self._think(line)
            line, self._line = self._line, ""
        if line:
            self._judge(line)
        self._freeze()
        self._finished = True

    # --- lines -----------------------------------------------------------------------------------

    def _take(self, piece: str) -> None:
        """Take a piece that holds at most one line end, at its end."""
        if self._kind is Kind.THINKING:
            self._think(piece)
            return
        if self._inside_line:
            self._inside_line = not piece.endswith("\n")
            self._append(piece)
            return
        self._line += piece
        if not self._line.endswith("\n") and len(self._line) < LOOK_CHARS:
            return
        line, self._line = self._line, ""
        if self._begins_thinking(line):
            self._think(line)
            return
        # judged by the same characters however they were chunked
        self._inside_line = not line.endswith("\n")
        self._judge(line[:LOOK_CHARS])
        if len(line) > LOOK_CHARS:
            self._append(line[LOOK_CHARS:])

    def _begins_thinking(self, line: str) -> bool:
        """Tell whether the reply opens with `<think>`, and begin that segment."""
        if self._started:
            return False
        self._started = bool(line.strip())
        if not line.lstrip().startswith(THINK_OPEN):
            return False
        self._begin(Kind.THINKING)
        return True

    def _think(self, piece: str) -> None:
        """Take a piece of thinking; what stands behind its end is a new line."""
        known = "".join(self._pieces)[1 - len(THINK_CLOSE) :] if self._pieces else ""
        end = (known + piece).find(THINK_CLOSE)
        if end < 0:
            self._append(piece)
            return
        cut = end + len(THINK_CLOSE) - len(known)
        self._append(piece[:cut])
        self._freeze()
        self._begin(Kind.PROSE)
        if cut < len(piece):
            self._take(piece[cut:])

    def _judge(self, line: str) -> None:
        """Decide what a line does to the segments, and add it."""
        if self._kind is Kind.CODE:
            self._append(line)
            if self._closes_fence(line):
                self._freeze()
                self._begin(Kind.PROSE, self._items[-1] if self._items else 0)
        elif self._kind is Kind.TABLE and self._in_table(line):
            self._append(line)
        else:
            if self._kind is Kind.TABLE:
                self._freeze()
                self._begin(Kind.PROSE)
            self._judge_prose(line)

    def _judge_prose(self, line: str) -> None:
        bare = line.rstrip("\r\n")
        if not bare.strip():
            self._append(line)
            self._after_blank = True
            self._prose_line = ""
            return
        indent = len(bare) - len(bare.lstrip(" "))
        fence = FENCE.match(bare)
        if fence and self._opens_fence(fence):
            while self._items and indent < self._items[-1]:
                self._items.pop()
            self._freeze()
            self._begin(Kind.CODE, indent, _language(fence[3]))
            self._fence = fence[2]
            self._append(line)
            return
        if self._turns_into_table(bare):
            self._begin_table(line)
            return
        self._follow_lists(bare, indent)
        self._cut_before(bare, indent)
        self._prose_line = line if "|" in bare and indent < 4 and not self._items else ""
        self._after_blank = False
        self._append(line)

    def _follow_lists(self, bare: str, indent: int) -> None:
        item = _item(bare)
        ends = self._after_blank or item is not None or _BLOCK_START.match(bare) is not None
        while ends and self._items and indent < self._items[-1]:
            self._items.pop()
        if item and (self._items or indent < 4):
            self._items.append(item.end() if item[3] else item.end() + 1)

    def _cut_before(self, bare: str, indent: int) -> None:
        """Freeze what came, if this line begins a block and enough has come."""
        if self._length < TARGET_CHARS:
            return
        item = _item(bare) is not None
        starts_block = self._after_blank or _BLOCK_START.match(bare) is not None
        if (
            (starts_block and indent < 4 and not self._items)
            or (item and len(self._items) <= 1 and self._length >= ITEM_CHARS)
            or self._length >= LINE_CHARS
        ):
            around = self._items[:-1] if item else self._items
            keep = around[-1] if around else 0
            self._freeze()
            self._begin(Kind.PROSE, keep)

    # --- fences and tables -----------------------------------------------------------------------

    def _opens_fence(self, fence: re.Match[str]) -> bool:
        indent, mark, info = len(fence[1]), fence[2], fence[3]
        if mark[0] == "`" and "`" in info:
            return False
        if not self._items:
            return indent < 4
        return indent < self._items[-1] + 4

    def _closes_fence(self, line: str) -> bool:
        fence = FENCE.match(line.rstrip("\r\n"))
        return (
            fence is not None
            and not fence[3]
            and fence[2][0] == self._fence[0]
            and len(fence[2]) >= len(self._fence)
            and len(fence[1]) < self._indent + 4
            and self._length > len(line)  # the opening line does not close itself
        )

    def _turns_into_table(self, bare: str) -> bool:
        header = self._prose_line
        return (
            bool(header)
            and "|" in bare
            and _RULE_ROW.match(bare) is not None
            and len(cells(header)) == len(cells(bare))
        )

    def _begin_table(self, line: str) -> None:
        header = self._prose_line
        joined = "".join(self._pieces)
        if joined.endswith(header):  # always, unless a hard cut fell into the header
            self._pieces = [joined[: -len(header)]]
            self._length -= len(header)
            self._freeze()
            self._begin(Kind.TABLE)
            self._append(header)
        self._append(line)

    def _in_table(self, line: str) -> bool:
        bare = line.rstrip("\r\n")
        return (
            "|" in bare
            and not _BLOCK_START.match(bare)
            and not FENCE.match(bare)
            and _item(bare) is None
        )

    # --- the open segment ------------------------------------------------------------------------

    def _append(self, text: str) -> None:
        if self._kind is Kind.PROSE:
            while self._length + len(text) > HARD_CHARS:
                room = HARD_CHARS - self._length
                self._pieces.append(text[:room])
                self._length += room
                text = text[room:]
                self._cut_line()
        self._pieces.append(text)
        self._length += len(text)

    def _cut_line(self) -> None:
        """Cut the open prose, which has no better place, at its last space."""
        joined = "".join(self._pieces)
        space = joined.rfind(" ", HARD_CHARS - _SPACE_REACH)
        cut = space + 1 if space >= 0 else HARD_CHARS
        self._pieces, self._length = [joined[:cut]], cut
        self._freeze()
        self._begin(Kind.PROSE)
        self._prose_line = ""
        if cut < len(joined):
            self._pieces, self._length = [joined[cut:]], len(joined) - cut

    def _begin(self, kind: Kind, indent: int = 0, language: str = "") -> None:
        self._kind = kind
        self._indent = indent
        self._language = language
        self._prose_line = ""
        self._after_blank = True
        if kind is Kind.TABLE:
            self._items.clear()

    def _freeze(self) -> None:
        if self._length:
            text = "".join(self._pieces)
            self._frozen.append(Segment(self._kind, text, True, self._indent, self._language))
        self._pieces, self._length = [], 0

    def _open_segment(self) -> Segment:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        text = (self._pieces[0] if self._pieces else "") + self._line
        kind = self._kind
        if not self._started and self._line.lstrip().startswith(THINK_OPEN):
            kind = Kind.THINKING
        return Segment(kind, text, False, self._indent, self._language)


def split(text: str) -> tuple[Segment, ...]:
    """Return the segments of a finished reply."""
    segmenter = Segmenter()
    segmenter.feed(text)
    segmenter.finish()
    return segmenter.segments()


def _item(line: str) -> re.Match[str] | None:
    """Return the list item a line begins; a rule (`* * *`) is none."""
    return None if _BLOCK_START.match(line) else _ITEM.match(line)


def _language(info: str) -> str:
    words = info.split()
    return words[0].strip("{}.").lower()[:40] if words else ""
