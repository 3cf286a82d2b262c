"""The short list of models that comes with Freehold and works without a network."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from freehold.errors import AppError
from freehold.paths import resources

SCHEMA: Final = 1

Positive = Annotated[int, msgspec.Meta(gt=0)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
Repository = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")]


class CatalogVariant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A quantisation and about how large it is; the hub's listing is exact."""

    name: Text
    gigabytes: Annotated[float, msgspec.Meta(gt=0)]

    @property
    def about_bytes(self) -> int:
        return round(self.gigabytes * 1e9)


class CatalogModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model worth beginning with; `source` says where the figures are from.

    checked_on: the day they were compared with it; None where they have not been.
    """

    name: Text
    family: Text
    repository: Repository
    original: Repository
    architecture: Text
    parameters: Positive
    active_parameters: Positive
    context_tokens: Positive
    licence: Text
    about: Text
    source: Text
    checked_on: datetime.date | None = None
    kind: Literal["chat", "embedding"] = "chat"
    experts: int = 0
    experts_used: int = 0
    variants: tuple[CatalogVariant, ...] = ()


class _Catalog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    model: tuple[CatalogModel, ...]


def read_catalog(path: Path | None = None) -> tuple[CatalogModel, ...]:
    """Return the models of the catalogue, in the order they are shown.

    Raises: AppError `storage_failed` when the file is missing or not as it should be.
    """
    file = resources() / "catalog.toml" if path is None else path
    try:
        with file.open("rb") as stream:
            catalog = msgspec.convert(tomllib.load(stream), _Catalog)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise _unreadable(file, str(error)) from error
    if catalog.schema != SCHEMA:
        raise _unreadable(file, f"it has schema {catalog.schema}, not {SCHEMA}")
    return catalog.model


def _unreadable(file: Path, reason: str) -> AppError:
    return AppError(
        "storage_failed",
        f"The list of models that comes with Freehold cannot be read ({reason}).",
        "Install Freehold again.",
        detail={"path": str(file)},
    )
