"""The part of the `Client` seam about model files, reached as `client.files`.

Two bodies exist, `HttpFiles` here and `tests/doubles/files.py:FakeFiles`; one contract test runs
on both. Every method raises `AppError`.
"""

from __future__ import annotations

from typing import Protocol

from freehold.client.calls import Call, Decode
from freehold.wire_files import ModelAnatomy, TemplateComparison, TensorRow


class FilesClient(Protocol):
    """What a server's model files hold."""

    async def anatomy(self, ref: str) -> ModelAnatomy:
        """Return everything a model's headers say."""
        ...

    async def tensors(self, ref: str) -> tuple[TensorRow, ...]:
        """Return every tensor of a model."""
        ...

    async def compare_templates(self, ref: str, other: str) -> TemplateComparison:
        """Return how a model's chat template differs from another's ("base": the original's)."""
        ...


class HttpFiles:
    """The model files of the server that `HttpClient` speaks to."""

    def __init__(self, call: Call, decode: Decode) -> None:
        self._call = call
        self._decode = decode

    async def anatomy(self, ref: str) -> ModelAnatomy:
        """Return everything a model's headers say."""
        response = await self._call("POST", "/files/anatomy", {"ref": ref}, repeat=True)
        return self._decode(response, ModelAnatomy)

    async def tensors(self, ref: str) -> tuple[TensorRow, ...]:
        """Return every tensor of a model."""
        response = await self._call("POST", "/files/tensors", {"ref": ref}, repeat=True)
        return self._decode(response, tuple[TensorRow, ...])

    async def compare_templates(self, ref: str, other: str) -> TemplateComparison:
        """Return how a model's chat template differs from another's."""
        body = {"ref": ref, "other": other}
        response = await self._call("POST", "/files/templates", body, repeat=True)
        return self._decode(response, TemplateComparison)
