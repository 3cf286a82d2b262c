"""Convert a checkpoint in safetensors with the converter of llama.cpp's own source package.

The converter needs PyTorch, which Freehold does not: it runs in a child, with a Python environment
of its own that the person makes once.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from freehold.errors import AppError
from freehold.library.making.child import run
from freehold.library.making.places import Workplace
from freehold.library.making.quantising import finish
from freehold.wire_files import ConvertRequest

SCRIPT: Final = "convert_hf_to_gguf.py"
SOURCES: Final = "llama_cpp_python-*/vendor/llama.cpp"
REQUIREMENTS: Final = (
    "requirements/requirements-convert_hf_to_gguf.txt",
    "requirements/requirements-convert_legacy_llama.txt",
)
MODULES: Final = ("torch", "transformers", "sentencepiece", "numpy")
CHECK_S: Final = 120.0
KEPT_LINES: Final = 40
# Bytes of the result for each byte of a checkpoint in 16 bits.
SHRINK: Final[Mapping[str, float]] = {"auto": 1.0, "f16": 1.0, "bf16": 1.0, "q8_0": 34 / 64}
_KEPT_VARIABLES: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Converter:
    """The converter's script, and the Python that runs it."""

    script: Path
    python: Path


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that can be converted; bytes: of its weights."""

    folder: Path
    architecture: str
    bytes: int


def read_checkpoint(text: str) -> Checkpoint:
    """Return what a folder holds.

    Raises: AppError `not_found` or `invalid_request` with what is missing, `conflict` for a folder
    whose own program code the converter would run.
    """
    folder = Path(os.path.expanduser(text))  # noqa: PTH111 - an unknown user's "~name" stays
    if not folder.is_absolute() or not folder.is_dir():
        raise AppError("not_found", f"There is no folder at {text[:300]}.", "Give its full path.")
    weights = sorted(folder.glob("*.safetensors"))
    try:
        config = json.loads((folder / "config.json").read_bytes())
        architecture = str((config.get("architectures") or [""])[0])
    except (OSError, ValueError, AttributeError, TypeError, RecursionError, IndexError):
        architecture = ""
    if not weights or not architecture:
        lacks = "no weights in safetensors" if not weights else "no config.json that names a model"
        raise AppError(
            "invalid_request",
            f"{folder} cannot be converted: it holds {lacks}.",
            "Choose the folder of a whole checkpoint as it is on the hub.",
        )
    code = sorted(path.name for path in folder.glob("*.py"))
    if code:
        raise AppError(
            "conflict",
            f"{folder.name} brings program code of its own ({', '.join(code[:3])}), which the"
            " converter would run.",
            "Look at these files; to convert without them, move them out of the folder.",
            detail={"files": code[:20]},
        )
    return Checkpoint(folder, architecture, sum(path.stat().st_size for path in weights))


def find_converter(cache: Path, environment: Mapping[str, str] = os.environ) -> Converter:
    """Return the converter and its Python.

    cache: Freehold's cache folder, below which the converter's environment lies.
    Raises: AppError `not_supported` with the lines to type.
    """
    own = environment.get("FREEHOLD_BUILD_CACHE")
    builds = Path(own) if own else Path(environment.get("HOME", "/")) / ".cache" / "freehold-build"
    found = sorted((builds / "src").glob(f"{SOURCES}/{SCRIPT}"))
    if not found:
        raise AppError(
            "not_supported",
            "The source package of llama.cpp, which holds the converter, is not here.",
            "Run `make run` once; it keeps the sources in its build cache.",
        )
    chosen = environment.get("FREEHOLD_CONVERTER_PYTHON")
    home = cache / "converter"
    python = Path(chosen) if chosen else home / "bin" / "python"
    if not python.is_file():
        raise needs_environment(found[-1].parent, home)
    return Converter(found[-1], python)


def needs_environment(source: Path, home: Path, missing: str = "") -> AppError:
    """Return the error that names the lines which make the converter's environment."""
    words = " ".join(f"'{line}'" for line in pinned(source))
    lines = (f"python3 -m venv {home}", f"{home}/bin/pip install {words}")
    what = f" ({missing} is missing)" if missing else ""
    return AppError(
        "not_supported",
        f"Converting needs PyTorch in an environment of its own{what}; Freehold itself does not.",
        f"Make it once, then try again:  {lines[0]}  &&  {lines[1]}",
        detail={"commands": list(lines)},
    )


def pinned(source: Path) -> tuple[str, ...]:
    """Return the packages that this llama.cpp's converter asks for, as pip takes them."""
    found: list[str] = []
    for name in REQUIREMENTS:
        try:
            text = (source / name).read_text("utf-8")
        except OSError:
            continue
        for line in text.splitlines():
            word = line.partition("#")[0].strip()
            if re.fullmatch(r"[A-Za-z][\w.-]*[~=<>!]=?[\w.,<>=!~*]+", word):
                found.append(word)
    return tuple(dict.fromkeys(found)) or MODULES


async def check_environment(converter: Converter, home: Path) -> None:
    """Raise AppError `not_supported` unless the Python has what the converter imports."""
    probe = (
        "import importlib.util, sys; "
        f"print(*[m for m in {list(MODULES)!r} if importlib.util.find_spec(m) is None])"
    )
    said: list[bytes] = []
    try:
        async with asyncio.timeout(CHECK_S):
            code = await run((str(converter.python), "-c", probe), _environment(), said.append)
    except (OSError, TimeoutError) as error:
        raise needs_environment(converter.script.parent, home, "its Python") from error
    missing = b"".join(said).decode("utf-8", "replace").strip()
    if code or missing:
        raise needs_environment(converter.script.parent, home, missing or "its Python")


def expected_bytes(checkpoint: Checkpoint, kind: str) -> int:
    """Return about how large the result will be: an estimate, checkpoints being in 16 bits."""
    return round(checkpoint.bytes * SHRINK[kind])


async def convert(
    converter: Converter,
    checkpoint: Checkpoint,
    request: ConvertRequest,
    place: Workplace,
    tell: Callable[[str], None],
) -> Path:
    """Convert; return the first file of the result. Cancelling leaves nothing behind.

    Raises: AppError with the converter's last words; OSError when the disk fails.
    """
    place.open()
    lines: list[str] = []

    def take(data: bytes) -> None:
        text = data.decode("utf-8", "replace").rstrip().rpartition("\r")[2]
        if text.strip():
            lines[:] = [*lines[-KEPT_LINES:], text[:300]]
            step = re.search(r"(blk\.\d+\.\S+|token_embd\S*|output\S*),", text)
            if step is not None:
                tell(step[1])

    try:
        target = place.hidden / f"{place.name}.gguf"
        code = await run(
            (
                str(converter.python),
                str(converter.script),
                str(checkpoint.folder),
                "--outfile",
                str(target),
                "--outtype",
                request.kind,
            ),
            _environment(),
            take,
            folder=place.hidden,
            with_errors=True,
        )
        if code:
            raise explain(lines, code, checkpoint)
        return await finish(place)
    finally:
        place.clear()


def explain(lines: list[str], code: int, checkpoint: Checkpoint) -> AppError:
    """Return why a conversion failed, from the converter's last words."""
    detail: dict[str, Any] = {"log": lines[-12:], "status": code}
    text = "\n".join(lines)
    if "is not supported" in text or "NotImplementedError" in text:
        return AppError(
            "unsupported_architecture",
            f"This llama.cpp cannot convert {checkpoint.architecture}.",
            "Update Freehold, or look for a GGUF of the model on the hub.",
            detail=detail,
        )
    if "No space left" in text:
        return AppError(
            "disk_full", "The disk is full.", "Make room and begin again.", detail=detail
        )
    last = next((line for line in reversed(lines) if line.strip()), "")
    return AppError(
        "invalid_model",
        f"The converter gave up: {last[:200] or f'status {code}'}",
        "Its last words are in the details.",
        detail=detail,
    )


def _environment() -> dict[str, str]:
    """Return what the converter is told: no secret, and no network."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return kept | {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
