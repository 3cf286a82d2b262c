"""Values of the library's part of Freehold's API: the hub, its models, and what fits here."""

from __future__ import annotations

from typing import Literal

from freehold.wire import Value


class Fit(Value, frozen=True, kw_only=True):
    """Whether a model runs on the server's machine: in a word, in a label, and why.

    level: how the verdict was come by.
    """

    verdict: Literal["gpu", "gpu+ram", "disk", "no"]
    label: str
    reason: str
    level: Literal["estimated", "calculated"] = "estimated"


class HubQuery(Value, frozen=True, kw_only=True):
    """What to look for on the hub; only repositories with GGUF files are found."""

    text: str = ""
    author: str = ""
    task: str = ""
    licence: str = ""
    architecture: str = ""
    sort: Literal["trending", "downloads", "likes", "newest"] = "trending"
    limit: int = 40


class HubModel(Value, frozen=True, kw_only=True):
    """A repository as a search finds it; figures that the hub does not give are 0 or ""."""

    repository: str
    downloads: int = 0
    likes: int = 0
    updated_at: str = ""
    gated: Literal["", "auto", "manual"] = ""
    architecture: str = ""
    parameters: int = 0
    context_tokens: int = 0
    licence: str = ""
    task: str = ""
    base_model: str = ""


class HubVariant(Value, frozen=True, kw_only=True):
    """What a person downloads as one: the files of one quantisation.

    missing: shards that the repository lacks. ref: the model it is here already, "" if it is not.
    """

    name: str
    quant: str
    bytes: int
    files: int = 1
    bits_per_weight: float | None = None
    fit: Fit | None = None
    missing: int = 0
    ref: str = ""
    recommended: bool = False


class CatalogEntry(Value, frozen=True, kw_only=True):
    """A model of the list that comes with Freehold; sizes are rounded."""

    name: str
    family: str
    repository: str
    architecture: str
    parameters: int
    active_parameters: int
    context_tokens: int
    experts: int
    experts_used: int
    licence: str
    about: str
    source: str
    checked_on: str
    kind: Literal["chat", "embedding"]
    variants: tuple[HubVariant, ...] = ()


class HubPage(Value, frozen=True, kw_only=True):
    """A repository's page: its card, its conditions and its variants, smallest first.

    refused: names that are not offered because they are not safe; companions: projectors and the
    like.
    """

    model: HubModel
    revision: str
    link: str
    card: str
    private: bool = False
    variants: tuple[HubVariant, ...] = ()
    companions: tuple[str, ...] = ()
    refused: int = 0
    free_bytes: int = 0


class VariantFacts(Value, frozen=True, kw_only=True):
    """What a variant's headers say, read before the download; the speed is an estimate."""

    repository: str
    variant: str
    architecture: str
    parameters: int
    active_parameters: int
    bits_per_weight: float
    experts: int
    experts_used: int
    layers: int
    context_tokens: int
    bytes_by_part: dict[str, int]
    bytes_by_type: dict[str, int]
    read_bytes: int
    fit: Fit
    decode_tokens_per_s: float | None = None


class HubAccount(Value, frozen=True, kw_only=True):
    """Which token the hub sees, without the token itself.

    kept_in: the environment, the system's key ring, a private file (where there is no key ring).
    """

    endpoint: str
    kept_in: Literal["none", "environment", "keyring", "file"] = "none"
    name: str = ""
    offline: bool = False


class FileChecksum(Value, frozen=True, kw_only=True):
    """A downloaded file and the SHA-256 that the hub gave for it."""

    path: str
    bytes: int
    sha256: str
