"""`GET /v1/models` and `GET /v1/models/{id}`."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from freehold.server.openai_values import encode
from freehold.server.wiring import House
from freehold.wire import ModelEntry


def model_value(entry: ModelEntry) -> dict[str, Any]:
    """Return a model in OpenAI's shape, with what this server knows beside it."""
    return {
        "id": entry.ref,
        "object": "model",
        "created": int(entry.added_at),
        "owned_by": "freehold",
        "meta": {
            "kind": entry.kind,
            "arch": entry.arch,
            "size": entry.bytes,
            "n_params": entry.parameters,
            "n_ctx_train": entry.context_tokens,
        },
    }


async def list_models(house: House, _http: Request) -> Response:
    """Answer with every model that can be asked."""
    models = [model_value(entry) for entry in await house.library.entries() if entry.ready]
    return Response(encode({"object": "list", "data": models}), media_type="application/json")


async def show_model(house: House, http: Request) -> Response:
    """Answer with one model."""
    entry = await house.library.resolve(http.path_params["ref"])
    return Response(encode(model_value(entry)), media_type="application/json")
