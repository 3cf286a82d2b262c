"""Lets the network begin with a circuit that copies, which training finds by itself only late.

Two heads of the first layer look one and two tokens back and note what stands there. A head of
the second layer then looks for the place whose two notes are the present token and the one before
it, and says what stands at that place: a text that has begun to be quoted is quoted on. Nothing of
this is fixed; training changes all of it, and has to learn by itself where a quotation begins.

The width is parted into thirds for it: what a token is, what was one back, what was two back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from starter_model.network import Attention, Network

EMBEDDING_RMS: Final = 0.2
OUTPUT_RMS: Final = 0.08
CONSTANT: Final = 3.0  # times the embedding's deviation
NOTE: Final = 0.8
QUOTE: Final = 2.4
ONE_BACK: Final = 20  # of the 32 dimensions of a head's key; the rest are for two back
SHARP: Final = 2.0
FAST_PAIRS: Final = 6


@torch.no_grad()
def begin_by_copying(network: Network, draw: torch.Generator) -> None:
    """Write the circuit into the first two layers' attention."""
    shape = network.shape
    third = min(shape.width // 3, shape.value, shape.kv_rank)
    # The first dimension is the same for every token: queries and keys of pure position need one.
    square = torch.randn(shape.width - 1, shape.width - 1, generator=draw)
    basis = torch.zeros(shape.width, shape.width - 1)
    basis[1:] = torch.linalg.qr(square).Q
    one_back, two_back, token = (
        basis[:, :third], basis[:, third : 2 * third], basis[:, 2 * third : 3 * third - 1],
    )  # fmt: skip
    table = network.embedding.weight
    # Of one length, or a token's loudness would count for more than where it stands.
    table[:, 1:] *= EMBEDDING_RMS * shape.width**0.5 / table[:, 1:].norm(dim=1, keepdim=True)
    table[:, 0] = CONSTANT * EMBEDDING_RMS
    network.output.weight.copy_(table * OUTPUT_RMS / EMBEDDING_RMS)
    first, second = (network.layers[index].attention for index in (0, 1))
    _look_back(first, network.table)
    _note(first, token, one_back, two_back)
    _quote(second, token, one_back, two_back)


def _look_back(part: Attention, table: torch.Tensor) -> None:
    """Let heads 0 and 1 attend one and two tokens back."""
    shape = part.shape
    part.kv_a.weight[shape.kv_rank :] *= 0.1
    # Slow pairs hardly tell neighbours apart.
    part.kv_a.weight[shape.kv_rank : shape.kv_rank + 2 * FAST_PAIRS : 2, 0] = 2.5
    part.q_a.weight[0] *= 0.1
    part.q_a.weight[0, 0] = 3.0
    queries = part.q_b.weight.view(shape.heads, shape.key, shape.q_rank)
    queries[:, shape.nope :] *= 0.1
    for head, back in enumerate((1, 2)):
        queries[head] *= 0.1
        cos, sin = table[:, back]
        queries[head, shape.nope :: 2, 0] = cos
        queries[head, shape.nope + 1 :: 2, 0] = -sin


def _note(
    part: Attention, token: torch.Tensor, one_back: torch.Tensor, two_back: torch.Tensor
) -> None:
    """Let heads 0 and 1 write what they see into the thirds for it."""
    shape = part.shape
    size = token.shape[1]
    part.kv_a.weight[:size] = token.T
    values = part.v_b.weight.view(shape.heads, shape.value, shape.kv_rank)
    outputs = part.output.weight.view(shape.width, shape.heads, shape.value)
    for head, target in enumerate((one_back, two_back)):
        values[head] = 0
        values[head, :size, :size] = torch.eye(size)
        outputs[:, head] = 0
        outputs[:, head, :size] = NOTE * target[:, :size]


def _quote(
    part: Attention, token: torch.Tensor, one_back: torch.Tensor, two_back: torch.Tensor
) -> None:
    """Let head 0 find the notes that fit and say the token there."""
    shape = part.shape
    size, more = token.shape[1], shape.nope - ONE_BACK
    # Embeddings are fainter than notes; brought to one size they share a norm.
    louder = NOTE / EMBEDDING_RMS
    part.kv_a.weight[: shape.nope] = torch.cat([one_back[:, :ONE_BACK], two_back[:, :more]], 1).T
    kept = min(size, shape.kv_rank - shape.nope)
    part.kv_a.weight[shape.nope : shape.nope + kept] = louder * token[:, :kept].T
    keys = part.k_b.weight.view(shape.heads, shape.nope, shape.kv_rank)
    keys[0] = 0
    keys[0, :, : shape.nope] = SHARP * torch.eye(shape.nope)
    part.q_a.weight[:ONE_BACK] = louder * token[:, :ONE_BACK].T
    part.q_a.weight[ONE_BACK : shape.nope] = one_back[:, :more].T
    queries = part.q_b.weight.view(shape.heads, shape.key, shape.q_rank)
    queries[0] = 0
    queries[0, : shape.nope, : shape.nope] = SHARP * torch.eye(shape.nope)
    values = part.v_b.weight.view(shape.heads, shape.value, shape.kv_rank)
    values[0] = 0
    values[0, :kept, shape.nope : shape.nope + kept] = torch.eye(kept)
    outputs = part.output.weight.view(shape.width, shape.heads, shape.value)
    outputs[:, 0] = 0
    outputs[:, 0, :kept] = QUOTE * token[:, :kept]
