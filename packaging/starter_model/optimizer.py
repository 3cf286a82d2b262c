"""Muon for the matrices, AdamW for the embedding and the vectors.

Muon (which trained Kimi K2 too) makes each update of a matrix orthogonal, so that rare
directions learn as fast as common ones: about half the steps of AdamW for the same loss here.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonal(matrices: Tensor, steps: int = 4) -> Tensor:
    """Return each matrix of a stack with its singular values moved near 1."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon:
    """Momentum, made orthogonal, with decoupled weight decay."""

    def __init__(self, weights: Iterable[nn.Parameter], momentum: float, decay: float) -> None:
        self.weights = list(weights)
        self.momentum = momentum
        self.decay = decay
        self.state = [torch.zeros_like(weight) for weight in self.weights]

    @torch.no_grad()
    def updates(self, numbers: Iterable[int]) -> None:
        """Put the updates of the matrices with these numbers into `grad`, zeros into the rest."""
        ahead = []
        for weight, state in zip(self.weights, self.state, strict=True):
            assert weight.grad is not None
            state.lerp_(weight.grad, 1 - self.momentum)
            ahead.append(weight.grad.lerp(state, self.momentum))
            weight.grad.zero_()
        for number in numbers:
            self.weights[number].grad = orthogonal(ahead[number])

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move every weight by what `grad` holds."""
        for weight in self.weights:
            assert weight.grad is not None
            weight.mul_(1 - rate * self.decay)
            size = max(1.0, weight.shape[-2] / weight.shape[-1]) ** 0.5
            weight.add_(weight.grad, alpha=-rate * size)


def split_weights(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the matrices for Muon, and the rest for AdamW."""
    matrices, rest = [], []
    for name, weight in network.named_parameters():
        is_matrix = weight.dim() >= 2 and name != "embedding.weight" and "router" not in name
        (matrices if is_matrix else rest).append(weight)
    return matrices, rest
