"""`POST /v1/embeddings`."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from starlette.requests import Request

from freehold.engine.requests import Usage
from freehold.errors import AppError
from freehold.server.gate import App
from freehold.server.generation import JsonAnswer
from freehold.server.openai_request import decode_request, invalid
from freehold.server.openai_values import encode
from freehold.server.wiring import House

ROUTE = "/v1/embeddings"
MAX_INPUTS = 2048
SCORE_BYTES = 4  # of a ranking model: one number instead of a vector
TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an embedding request; fields that are not here are dropped."""

    input: str | list[Any]
    model: Annotated[str, Meta(max_length=1024)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


_decoder = msgspec.json.Decoder(EmbeddingRequest)


def read_inputs(value: str | list[Any]) -> tuple[str | tuple[int, ...], ...]:
    """Return the inputs of a request, which come in four shapes; none may be empty."""
    if isinstance(value, str) or (value and all(type(item) is int for item in value)):
        value = [value]
    if not 1 <= len(value) <= MAX_INPUTS:
        raise invalid(f"`input` must hold 1 to {MAX_INPUTS:,} texts.", "input")
    inputs: list[str | tuple[int, ...]] = []
    for index, item in enumerate(value):
        try:
            inputs.append(msgspec.convert(item, str | tuple[TokenId, ...]))
        except msgspec.ValidationError as error:
            raise invalid("`input` must hold strings or lists of token ids.", "input") from error
        if not inputs[-1]:
            raise invalid(f"Input {index} is empty.", "input")
    return tuple(inputs)


async def answer_embedding(house: House, http: Request) -> App:
    """Answer with one vector per input."""
    request = decode_request(await http.body(), _decoder)
    inputs = read_inputs(request.input)
    ref = await house.models.embedding(request.model)
    return JsonAnswer(ROUTE, house.counters, lambda: _whole(house, ref, request, inputs))


async def _whole(
    house: House,
    ref: str,
    request: EmbeddingRequest,
    inputs: tuple[str | tuple[int, ...], ...],
) -> bytes:
    async with house.engines.lease(ref) as held:
        size = held.info.embedding_size
        if request.dimensions is not None and request.dimensions != size:
            raise invalid(
                f"{ref} makes vectors of {size} numbers; `dimensions` cannot change that.",
                "dimensions",
                "Leave `dimensions` out.",
            )
        embedded = await held.engine.embed(inputs)
    if embedded.vectors and len(embedded.vectors[0]) == SCORE_BYTES:
        raise AppError(
            "not_supported",
            f"{ref} ranks texts and gives no embeddings.",
            "Choose an embedding model.",
            detail={"param": "model"},
        )
    house.counters.add_usage(ref, Usage(prompt_tokens=embedded.prompt_tokens))
    as_text = request.encoding_format == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": (
                base64.b64encode(vector).decode()
                if as_text
                else np.frombuffer(vector, dtype="<f4").tolist()
            ),
        }
        for index, vector in enumerate(embedded.vectors)
    ]
    tokens = embedded.prompt_tokens
    return encode(
        {
            "object": "list",
            "model": ref,
            "data": data,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )
