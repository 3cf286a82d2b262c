"""A sound model cut into several files, as llama.cpp's own tool cuts it."""

from __future__ import annotations

import struct
from pathlib import Path

from freehold.gguf.header import TensorInfo, read_header
from freehold.gguf.source import open_file
from freehold.gguf.values import LongList, LongText, read_long_list
from freehold.gguf.writer import ALIGNMENT, I32List, encode_value, string

INT32 = 5


def split_model(path: Path, folder: Path, stem: str, count: int) -> list[Path]:
    """Write the model at `path` as `count` files into `folder`; return them in order."""
    with open_file(path) as source:
        header = read_header(source)
        values = []
        for key, value in header.metadata.items():
            if isinstance(value, LongList):
                items = read_long_list(source, value)
                found = I32List(items) if value.item == INT32 else items  # type: ignore[arg-type]
                values.append(string(key) + encode_value(found))  # type: ignore[arg-type]
            elif not isinstance(value, LongText):
                found = list(value) if isinstance(value, tuple) else value  # type: ignore[assignment]
                values.append(string(key) + encode_value(found))  # type: ignore[arg-type]
    paths = []
    tensors = header.tensors
    for number in range(count):
        part = tensors[number * len(tensors) // count : (number + 1) * len(tensors) // count]
        own = [
            string("split.no") + struct.pack("<IH", 2, number),
            string("split.count") + struct.pack("<IH", 2, count),
            string("split.tensors.count") + struct.pack("<Ii", 5, len(tensors)),
        ]
        file = folder / f"{stem}-{number + 1:05}-of-{count:05}.gguf"
        file.write_bytes(_whole(path, [*values, *own] if number == 0 else own, part))
        paths.append(file)
    return paths


def _whole(path: Path, values: list[bytes], tensors: tuple[TensorInfo, ...]) -> bytes:
    pieces = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(values)), *values]
    offset = 0
    for tensor in tensors:
        shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        pieces += [string(tensor.name), shape, struct.pack("<IQ", tensor.kind.number, offset)]
        offset += -(-tensor.bytes // ALIGNMENT) * ALIGNMENT
    head = b"".join(pieces)
    body = [head, bytes(-len(head) % ALIGNMENT)]
    data = path.read_bytes()
    for tensor in tensors:
        body += [data[tensor.offset :][: tensor.bytes], bytes(-tensor.bytes % ALIGNMENT)]
    return b"".join(body)
