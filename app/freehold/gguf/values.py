"""Metadata values of a GGUF: scalars, texts and lists, read within bounds.

Long lists and long texts stay in the file until somebody asks for them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from freehold.gguf.faults import CONVERT_AGAIN, InvalidGgufError, quoted
from freehold.gguf.source import Cursor, Source

STRING: Final = 8
ARRAY: Final = 9
SCALARS: Final[dict[int, tuple[str, int]]] = {
    0: ("<B", 1), 1: ("<b", 1), 2: ("<H", 2), 3: ("<h", 2), 4: ("<I", 4), 5: ("<i", 4),
    6: ("<f", 4), 7: ("<?", 1), 10: ("<Q", 8), 11: ("<q", 8), 12: ("<d", 8),
}  # fmt: skip
TYPE_NAMES: Final[dict[int, str]] = {
    0: "uint8", 1: "int8", 2: "uint16", 3: "int16", 4: "uint32", 5: "int32", 6: "float32",
    7: "bool", 8: "text", 9: "list", 10: "uint64", 11: "int64", 12: "float64",
}  # fmt: skip

KEY_BYTES: Final = 65_535
TEXT_BYTES: Final = 1 << 20  # longer texts are not read with the header
ALL_TEXT_BYTES: Final = 16 << 20
SHORT_LIST: Final = 1024  # longer lists are not read with the header
LONGEST_LIST_BYTES: Final = 64 << 20  # of a list of texts that is read as a whole
ALL_LIST_TEXTS: Final = 1_500_000  # texts in all lists together; the largest vocabulary has 0.8 M


@dataclass(frozen=True, slots=True)
class LongText:
    """A text that was left in the file."""

    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LongList:
    """A list that was left in the file: `count` items of type `item` between two offsets."""

    item: int
    count: int
    offset: int
    end: int


Scalar = bool | int | float | str
Value = Scalar | LongText | LongList | tuple[Scalar, ...]


class ValueReader:
    """Reads values one after another, with one budget for all of them."""

    def __init__(self, cursor: Cursor, name: str) -> None:
        self._cursor = cursor
        self._name = name
        self._text_bytes = 0
        self._list_texts = 0

    def number(self, code: str, what: str) -> int:
        """Return an unsigned or signed integer of the struct code `code`."""
        value = struct.unpack(code, self._cursor.take(struct.calcsize(code), what))[0]
        return int(value)

    def text(self, what: str, limit: int = TEXT_BYTES) -> str:
        """Return a text of at most `limit` bytes, which must be UTF-8."""
        length = self.number("<Q", what)
        if length > limit:
            self._cursor.require(min(length, 1 << 62), what)
            raise InvalidGgufError(
                self._name, f"{what} is {length:,} bytes long, more than {limit:,}"
            )
        data = self._cursor.take(length, what)
        self._text_bytes += length
        if self._text_bytes > ALL_TEXT_BYTES:
            raise InvalidGgufError(self._name, "its metadata holds more text than any model has")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidGgufError(
                self._name, f"{what} is not valid UTF-8: {quoted(data)}", CONVERT_AGAIN
            ) from error

    def value(self, kind: int, key: str) -> Value:
        """Return a value of type number `kind`."""
        what = f"the value of {quoted(key)}"
        if kind == STRING:
            return self._long_or_text(what)
        if kind == ARRAY:
            return self._list(what)
        return self._scalar(kind, what)

    def _scalar(self, kind: int, what: str) -> Scalar:
        if kind not in SCALARS:
            raise InvalidGgufError(self._name, f"{what} has the unknown type {kind}")
        code, size = SCALARS[kind]
        scalar: bool | int | float = struct.unpack(code, self._cursor.take(size, what))[0]
        return scalar

    def _long_or_text(self, what: str) -> str | LongText:
        length_bytes, at = self._cursor.window(8, what)
        length: int = struct.unpack_from("<Q", length_bytes, at)[0]
        if length <= TEXT_BYTES:
            return self.text(what)
        self._cursor.skip(8, what)
        offset = self._cursor.offset
        self._cursor.skip(length, what)
        return LongText(offset, length)

    def _list(self, what: str) -> LongList | tuple[Scalar, ...]:
        item = self.number("<I", what)
        count = self.number("<Q", what)
        if item == ARRAY:
            raise InvalidGgufError(
                self._name, f"{what} is a list of lists, which llama.cpp cannot read"
            )
        if item != STRING and item not in SCALARS:
            raise InvalidGgufError(self._name, f"{what} is a list of the unknown type {item}")
        size = 8 if item == STRING else SCALARS[item][1]
        if count > self._cursor.remaining_bytes // size:
            raise InvalidGgufError(
                self._name,
                f"{what} claims {count:,} items, but the file ends before them;"
                " it is incomplete or damaged",
            )
        if count <= SHORT_LIST:
            if item == STRING:
                return tuple(self.text(what) for _ in range(count))
            return tuple(self._scalar(item, what) for _ in range(count))
        offset = self._cursor.offset
        if item == STRING:
            self._skip_texts(count, what)
        else:
            self._cursor.skip(count * size, what)
        return LongList(item, count, offset, self._cursor.offset)

    def _skip_texts(self, count: int, what: str) -> None:
        """Go over `count` texts, checking only that each one ends inside the file."""
        self._list_texts += count
        if self._list_texts > ALL_LIST_TEXTS:
            raise InvalidGgufError(
                self._name, f"{what} has {count:,} texts, more than any model has"
            )
        unpack = struct.Struct("<Q").unpack_from
        done = 0
        while done < count:
            data, start = self._cursor.window(8, what)
            at, last = start, len(data) - 8
            while done < count and at <= last:
                at += 8 + unpack(data, at)[0]
                done += 1
            self._cursor.skip(at - start, what)


def read_long_text(source: Source, text: LongText) -> str:
    """Return a text that was left in the file; broken UTF-8 is shown as such."""
    return source.read(text.offset, text.bytes).decode("utf-8", "replace")


def read_long_list(
    source: Source, items: LongList, first: int = 0, count: int | None = None
) -> list[Scalar]:
    """Return items `first` to `first + count` of a list that was left in the file."""
    count = items.count - first if count is None else min(count, items.count - first)
    if items.item != STRING:
        code, size = SCALARS[items.item]
        data = source.read(items.offset + first * size, count * size)
        return list(struct.unpack(f"<{count}{code[1]}", data))
    found = islice(raw_texts(source, items), first, first + count)
    return [text.decode("utf-8", "replace") for text in found]


def raw_texts(source: Source, items: LongList) -> Iterator[bytes]:
    """Yield the texts of a list as the bytes in the file."""
    size = items.end - items.offset
    if size > LONGEST_LIST_BYTES:
        raise InvalidGgufError(
            source.name, f"a list in its metadata takes {size:,} bytes, more than any model's"
        )
    data = source.read(items.offset, size)
    unpack = struct.Struct("<Q").unpack_from
    at = 0
    for _ in range(items.count):
        end = at + 8 + unpack(data, at)[0]
        yield data[at + 8 : end]
        at = end
