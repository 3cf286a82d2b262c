"""Kimi K2's network in plain PyTorch: latent attention, sigmoid-gated experts.

Written to give what llama.cpp's `deepseek2` graph gives: the same norms, the same interleaved
rotary positions, experts chosen by score plus bias and weighted by the score alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from starter_model.copying import EMBEDDING_RMS, begin_by_copying
from starter_model.shape import Shape


class RmsNorm(nn.Module):
    """Scale vectors to unit mean square, then by learned weights."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, self.epsilon)


def rotary_table(shape: Shape, tokens: int) -> Tensor:
    """Return cos and sin of each position and pair of dimensions: (2, tokens, rope / 2)."""
    steps = torch.arange(0, shape.rope, 2, dtype=torch.float64) / shape.rope
    angle = torch.outer(torch.arange(tokens, dtype=torch.float64), shape.rope_base**-steps)
    return torch.stack([angle.cos(), angle.sin()]).float()


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn neighbouring pairs of the last dimension by their position's angles."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = table[0], table[1]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


class Rows:
    """Sequences of unlike length as one run of tokens; only attention sees them padded."""

    def __init__(self, lengths: list[int], table: Tensor) -> None:
        """Lay out sequences of these lengths; `table` is the rotary table."""
        self.longest = max(lengths)
        self.count = len(lengths)
        steps = [torch.arange(length) for length in lengths]
        self.position = torch.cat(steps)
        self.angles = table[:, self.position]
        self.places = torch.cat([step + row * self.longest for row, step in enumerate(steps)])

    def pad(self, x: Tensor) -> Tensor:
        """Return (sequences, heads, tokens, size) of (all tokens, heads, size)."""
        heads, size = x.shape[1], x.shape[2]
        padded = x.new_zeros(self.count * self.longest, heads, size)
        padded = padded.index_copy(0, self.places, x)
        return padded.view(self.count, self.longest, heads, size).transpose(1, 2)

    def unpad(self, x: Tensor) -> Tensor:
        """Return (all tokens, heads x size) of what attention gave."""
        return x.transpose(1, 2).reshape(self.count * self.longest, -1)[self.places]


class Attention(nn.Module):
    """Multi-head latent attention with low-rank queries, keys and values."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q_a = _linear(shape.width, shape.q_rank)
        self.q_a_norm = RmsNorm(shape.q_rank, shape.norm_epsilon)
        self.q_b = _linear(shape.q_rank, shape.heads * shape.key)
        self.kv_a = _linear(shape.width, shape.kv_rank + shape.rope)
        self.kv_a_norm = RmsNorm(shape.kv_rank, shape.norm_epsilon)
        self.k_b = _linear(shape.kv_rank, shape.heads * shape.nope)
        self.v_b = _linear(shape.kv_rank, shape.heads * shape.value)
        self.output = _linear(shape.heads * shape.value, shape.width)

    def forward(self, x: Tensor, rows: Rows) -> Tensor:
        shape = self.shape
        q = self.q_b(self.q_a_norm(self.q_a(x))).view(-1, shape.heads, shape.key)
        q_nope, q_rope = q.split([shape.nope, shape.rope], dim=-1)
        angles = rows.angles.unsqueeze(2)
        q = torch.cat([q_nope, rotate(q_rope, angles)], dim=-1)
        latent, k_rope = self.kv_a(x).split([shape.kv_rank, shape.rope], dim=-1)
        latent = self.kv_a_norm(latent)
        k_nope = self.k_b(latent).view(-1, shape.heads, shape.nope)
        v = self.v_b(latent).view(-1, shape.heads, shape.value)
        k_rope = rotate(k_rope.unsqueeze(1), angles).expand(-1, shape.heads, -1)
        k = torch.cat([k_nope, k_rope], dim=-1)
        mixed = functional.scaled_dot_product_attention(
            rows.pad(q), rows.pad(k), rows.pad(v), is_causal=True
        )
        return self.output(rows.unpad(mixed))


class Dense(nn.Module):
    """A gated feed-forward layer."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate = _linear(width, inner)
        self.up = _linear(width, inner)
        self.down = _linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class Experts(nn.Module):
    """Routed experts and one shared; scores are sigmoids, the bias only decides who is chosen."""

    bias: Tensor
    load: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        count, width, inner = shape.experts, shape.width, shape.expert_width
        self.router = nn.Parameter(torch.empty(count, width))
        self.gate_up = nn.Parameter(torch.empty(count, 2, inner, width))
        self.down = nn.Parameter(torch.empty(count, width, inner))
        self.shared = Dense(width, inner)
        self.register_buffer("bias", torch.zeros(count))
        self.register_buffer("load", torch.zeros(count), persistent=False)

    def forward(self, flat: Tensor) -> Tensor:
        shape = self.shape
        score = torch.sigmoid(flat @ self.router.T)
        chosen = (score.detach() + self.bias).topk(shape.experts_used, dim=-1).indices
        weight = score.gather(1, chosen)
        weight = shape.expert_scale * weight / weight.sum(-1, keepdim=True)
        order = chosen.flatten().argsort(stable=True)
        rows = order // shape.experts_used
        counts = torch.bincount(chosen.flatten(), minlength=shape.experts)
        if self.training:
            self.load += counts
        parts = []
        # Unbound at once: indexing would make a gradient as large as all experts for each of them.
        matrices = zip(self.gate_up.flatten(1, 2).unbind(), self.down.unbind(), strict=True)
        pieces = flat[rows].split(counts.tolist())
        for piece, (gate_up, down) in zip(pieces, matrices, strict=True):
            gate, up = (piece @ gate_up.T).chunk(2, dim=-1)
            parts.append((functional.silu(gate) * up) @ down.T)
        routed = torch.cat(parts) * weight.flatten()[order].unsqueeze(-1)
        return self.shared(flat).index_add(0, rows, routed)


class Layer(nn.Module):
    """Attention and a feed-forward part, each added to what came in."""

    def __init__(self, shape: Shape, index: int) -> None:
        super().__init__()
        self.attention_norm = RmsNorm(shape.width, shape.norm_epsilon)
        self.attention = Attention(shape)
        self.forward_norm = RmsNorm(shape.width, shape.norm_epsilon)
        self.feed_forward: nn.Module = (
            Dense(shape.width, shape.dense_width) if index == 0 else Experts(shape)
        )

    def forward(self, x: Tensor, rows: Rows) -> Tensor:
        x = x + self.attention(self.attention_norm(x), rows)
        return x + self.feed_forward(self.forward_norm(x))


class Network(nn.Module):
    """The whole network."""

    table: Tensor

    def __init__(self, shape: Shape, seed: int = 1) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape, index) for index in range(shape.layers))
        self.norm = RmsNorm(shape.width, shape.norm_epsilon)
        self.output = _linear(shape.width, shape.vocabulary)
        self.register_buffer("table", rotary_table(shape, shape.context_tokens), persistent=False)
        self._initialise(seed)

    def forward(self, tokens: Tensor, lengths: list[int]) -> Tensor:
        """Return the last hidden state, after the norm, of every token of some sequences.

        tokens: the sequences one after the other; lengths: how long each is.
        """
        rows = Rows(lengths, self.table)
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, rows)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the scores of every token of the vocabulary."""
        return self.output(hidden)

    def experts(self) -> list[Experts]:
        """Return the layers that route, in order."""
        parts = [layer.feed_forward for layer in self.layers if isinstance(layer, Layer)]
        return [part for part in parts if isinstance(part, Experts)]

    def _initialise(self, seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if weight.dim() == 1:
                continue
            deviation = 1 / math.sqrt(weight.shape[-1])
            if name == "embedding.weight":
                deviation = EMBEDDING_RMS
            elif name.endswith(("output.weight", "down", "down.weight")):
                deviation *= 0.1 / math.sqrt(self.shape.layers)
            nn.init.normal_(weight, std=deviation, generator=draw)
        begin_by_copying(self, draw)


def _linear(columns: int, rows: int) -> nn.Linear:
    return nn.Linear(columns, rows, bias=False)
