"""Some hundred GGUF files that are wrong, each in its own way, for readers that trust nothing."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from freehold.gguf.writer import MetadataValue, encode_value, string

HUGE = (2**31, 2**32 - 1, 2**32, 2**48, 2**61, 2**62, 2**63 - 1, 2**63, 2**64 - 32, 2**64 - 1)

PLAIN: dict[str, MetadataValue] = {
    "general.architecture": "llama",
    "general.name": "damaged",
    "llama.context_length": 128,
    "general.alignment": 32,
    "tokenizer.ggml.tokens": ["a", "b", "c"],
}


@dataclass(frozen=True)
class Tensor:
    """A tensor's entry, as wrong as wished."""

    name: bytes = b"token_embd.weight"
    shape: tuple[int, ...] = (32, 4)
    kind: int = 0
    offset: int = 0
    dimensions: int | None = None

    def encode(self) -> bytes:
        count = len(self.shape) if self.dimensions is None else self.dimensions
        return (
            struct.pack("<Q", len(self.name))
            + self.name
            + struct.pack(f"<I{len(self.shape)}Q", count, *self.shape)
            + struct.pack("<IQ", self.kind, self.offset)
        )


def build(
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    tensors: Sequence[Tensor] = (Tensor(),),
    metadata: dict[str, MetadataValue] | None = None,
    raw_metadata: Sequence[bytes] = (),
    tensor_count: int | None = None,
    key_count: int | None = None,
    data_bytes: int = 512,
) -> bytes:
    """Return a file; without arguments it is a sound one."""
    keys = PLAIN if metadata is None else metadata
    head = magic + struct.pack("<I", version)
    head += struct.pack("<Q", len(tensors) if tensor_count is None else tensor_count)
    head += struct.pack("<Q", len(keys) + len(raw_metadata) if key_count is None else key_count)
    head += b"".join(string(key) + encode_value(value) for key, value in keys.items())
    head += b"".join(raw_metadata)
    head += b"".join(tensor.encode() for tensor in tensors)
    return head + bytes(-len(head) % 32) + bytes(data_bytes)


def raw_key(key: bytes, kind: int, value: bytes, *, length: int | None = None) -> bytes:
    """Return a metadata pair with any type number and bytes."""
    size = len(key) if length is None else length
    return struct.pack("<Q", size) + key + struct.pack("<I", kind) + value


def raw_list(item: int, count: int, data: bytes = b"") -> bytes:
    """Return a list's bytes with any item type and count."""
    return struct.pack("<IQ", item, count) + data


def damaged() -> Iterator[tuple[str, bytes]]:
    """Yield (what is wrong, the file) for every case."""
    yield from _starts()
    yield from _truncated()
    yield from _counts()
    yield from _values()
    yield from _tensors()


def _starts() -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    for magic in (b"\0\0\0\0", b"ggml", b"ggjt", b"GGUE", b"gguf", b"FUGG", b"PK\3\4", b"\x7fELF"):
        yield f"magic {magic!r}", build(magic=magic)
    yield "HTML", b"<!DOCTYPE html><html><title>Log in</title></html>" * 20
    yield "LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    yield "zeros", bytes(4096)
    for version in (0, 1, 4, 5, 255, 0x0300_0000, 0x0200_0000, 0xFFFF_FFFF):
        yield f"version {version}", build(version=version)
    sound = build()
    yield "big-endian", sound[:4] + struct.pack(">IQQ", 3, 1, 5) + sound[24:]


def _truncated() -> Iterator[tuple[str, bytes]]:
    sound = build()
    header = len(sound) - 512
    for end in range(1, header, 3):
        yield f"cut at {end}", sound[:end]
    for end in (header, header + 1, header + 511):
        yield f"data cut at {end}", sound[:end]


def _counts() -> Iterator[tuple[str, bytes]]:
    for count in (2, 3, 1000, 65_536, 65_537, *HUGE):
        yield f"{count} tensors", build(tensor_count=count)
    for count in (6, 1000, 65_536, 65_537, *HUGE):
        yield f"{count} keys", build(key_count=count)
    yield "too many keys", build(metadata={f"k{n}": True for n in range(70_000)})
    yield (
        "too many tensors",
        build(tensors=[Tensor(b"%d" % n, (8,), offset=n * 32) for n in range(70_000)]),
    )


def _values() -> Iterator[tuple[str, bytes]]:
    for length in HUGE:
        yield f"key of {length}", build(raw_metadata=[raw_key(b"k", 4, bytes(4), length=length)])
        text = struct.pack("<Q", length) + b"abc"
        yield f"text of {length}", build(raw_metadata=[raw_key(b"k", 8, text)])
        for item in (0, 4, 8, 10):
            value = raw_list(item, length, bytes(64))
            yield f"list of {length} of {item}", build(raw_metadata=[raw_key(b"k", 9, value)])
        value = raw_list(8, 2000, struct.pack("<Q", length) * 3)
        yield f"long list, text of {length}", build(raw_metadata=[raw_key(b"k", 9, value)])
    for kind in (13, 14, 99, 2**31, 2**32 - 1):
        yield f"value type {kind}", build(raw_metadata=[raw_key(b"k", kind, bytes(8))])
        value = raw_list(kind, 1, bytes(8))
        yield f"list type {kind}", build(raw_metadata=[raw_key(b"k", 9, value)])
    nested = raw_list(9, 1)
    for depth in (1, 2, 1000, 20_000):
        value = nested * depth + raw_list(4, 1, bytes(4))
        yield f"lists {depth} deep", build(raw_metadata=[raw_key(b"k", 9, value)])
    for bad in (b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x80"):
        text = struct.pack("<Q", len(bad)) + bad
        yield f"value UTF-8 {bad!r}", build(raw_metadata=[raw_key(b"k", 8, text)])
        yield f"key UTF-8 {bad!r}", build(raw_metadata=[raw_key(bad, 4, bytes(4))])
        yield f"list UTF-8 {bad!r}", build(raw_metadata=[raw_key(b"k", 9, raw_list(8, 1, text))])
        yield f"tensor UTF-8 {bad!r}", build(tensors=[Tensor(bad)])
    yield "no key", build(raw_metadata=[raw_key(b"", 4, bytes(4))])
    yield "key twice", build(raw_metadata=[raw_key(b"general.name", 4, bytes(4))])
    yield "long key", build(raw_metadata=[raw_key(b"k" * 65_536, 4, bytes(4))])
    for alignment in (0, 3, 33, 48, 2**21, 2**31, 2**32 - 1):
        yield f"alignment {alignment}", build(metadata=PLAIN | {"general.alignment": alignment})
    for odd in ("32", 32.0, True, [32]):
        yield f"alignment {odd!r}", build(metadata=PLAIN | {"general.alignment": odd})


def _tensors() -> Iterator[tuple[str, bytes]]:
    for count in (0, 5, 6, 255, 2**31, 2**32 - 1):
        yield f"{count} dimensions", build(tensors=[Tensor(dimensions=count)])
    for place in range(4):
        shape = tuple(0 if at == place else 2 for at in range(4))
        yield f"dimension {place} of 0", build(tensors=[Tensor(shape=shape)])
        for size in HUGE:
            shape = tuple(size if at == place else 2 for at in range(4))
            yield f"dimension {place} of {size}", build(tensors=[Tensor(shape=shape)])
    for shape in ((2**32, 2**32), (2**21, 2**21, 2**21), (2**16,) * 4, (2**62, 2, 2, 1)):
        yield f"product of {shape}", build(tensors=[Tensor(shape=shape)])
    for kind in (4, 5, 31, 32, 33, 36, 37, 38, 43, 44, 255, 2**31, 2**32 - 1):
        yield f"tensor type {kind}", build(tensors=[Tensor(kind=kind)])
    for kind, row in ((2, 31), (8, 33), (12, 255), (12, 32), (14, 257), (34, 128), (40, 32)):
        yield f"row of {row} in type {kind}", build(tensors=[Tensor(shape=(row, 4), kind=kind)])
    for offset in (1, 31, 32, 512, 4096, *HUGE):
        yield f"offset {offset}", build(tensors=[Tensor(offset=offset)])
    pair = [Tensor(b"a", (32,)), Tensor(b"b", (32,), offset=128)]
    for offset in (0, 1, 96, 127, 129, 160, 2**63, 2**64 - 128):
        second = Tensor(b"b", (32,), offset=offset)
        yield f"second at {offset}", build(tensors=[pair[0], second])
    yield "same name", build(tensors=[pair[0], Tensor(b"a", (32,), offset=128)])
    yield "no name", build(tensors=[Tensor(b"")])
    for length in (64, 65, 1000, 65_535, 65_536):
        yield f"name of {length}", build(tensors=[Tensor(b"n" * length)])
    yield (
        "each too large together",
        build(
            tensors=[
                Tensor(b"a", (2**60,)),
                Tensor(b"b", (2**60,), offset=2**62),
                Tensor(b"c", (2**60,), offset=2**63),
            ]
        ),
    )
