"""The part of the `Client` seam about model files, reached as `client.files`.

Two bodies exist, `HttpFiles` here and `tests/doubles/files.py:FakeFiles`; one contract test runs
on both. Every method raises `AppError`.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import quote

from freehold.client.calls import Call, Decode
from freehold.wire_files import (
    ConvertRequest,
    Duplicates,
    Making,
    ModelAnatomy,
    QuantisePlan,
    QuantiseRequest,
    TemplateComparison,
    TensorRow,
)


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

    async def duplicates(self) -> Duplicates:
        """Return models that are there more than once; `Changed("duplicates")` tells of more."""
        ...

    async def making(self) -> tuple[Making, ...]:
        """Return what is being made on the server's machine, newest first."""
        ...

    async def plan_quantise(self, request: QuantiseRequest) -> QuantisePlan:
        """Return what a request would make."""
        ...

    async def quantise(self, request: QuantiseRequest) -> Making:
        """Begin to quantise a model; `Changed("making")` tells that it came on."""
        ...

    async def convert(self, request: ConvertRequest) -> Making:
        """Begin to convert a checkpoint in safetensors on the server's machine."""
        ...

    async def cancel_making(self, making_id: str) -> None:
        """End what is being made, leaving nothing behind; take an ended one off the list."""
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

    async def duplicates(self) -> Duplicates:
        """Return models that are there more than once."""
        response = await self._call("GET", "/files/duplicates", repeat=True)
        return self._decode(response, Duplicates)

    async def making(self) -> tuple[Making, ...]:
        """Return what is being made on the server's machine."""
        response = await self._call("GET", "/files/making", repeat=True)
        return self._decode(response, tuple[Making, ...])

    async def plan_quantise(self, request: QuantiseRequest) -> QuantisePlan:
        """Return what a request would make."""
        response = await self._call("POST", "/files/quantise/plan", request, repeat=True)
        return self._decode(response, QuantisePlan)

    async def quantise(self, request: QuantiseRequest) -> Making:
        """Begin to quantise a model."""
        response = await self._call("POST", "/files/quantise", request)
        return self._decode(response, Making)

    async def convert(self, request: ConvertRequest) -> Making:
        """Begin to convert a checkpoint in safetensors."""
        response = await self._call("POST", "/files/convert", request)
        return self._decode(response, Making)

    async def cancel_making(self, making_id: str) -> None:
        """End what is being made, or take an ended one off the list."""
        await self._call("DELETE", f"/files/making/{quote(making_id, safe='')}")
