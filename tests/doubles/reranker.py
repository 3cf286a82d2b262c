"""A toy model that ranks pairs of texts: the bundled embedder with an untrained head."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from freehold.paths import resources

EMBEDDER = resources() / "models" / "all-MiniLM-L6-v2-Q8_0.gguf"
RANK = 4


def make_reranker(path: Path) -> Path:
    """Write it; its scores differ between pairs and mean nothing."""
    reader = gguf.GGUFReader(EMBEDDER)
    writer = gguf.GGUFWriter(path, "bert")
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        kind = field.types[0]
        value = RANK if key == "bert.pooling_type" else field.contents()
        writer.add_key_value(key, value, kind, field.types[-1] if len(field.types) > 1 else None)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    rng = np.random.default_rng(7)
    size = 384
    for name, shape in (("cls.weight", (size, size)), ("cls.output.weight", (1, size))):
        writer.add_tensor(name, (rng.standard_normal(shape) / size**0.5).astype(np.float32))
    for name, length in (("cls.bias", size), ("cls.output.bias", 1)):
        writer.add_tensor(name, np.zeros(length, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
