"""Reads a training checkpoint: the network, and how it came to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from starter_model.network import Network
from starter_model.shape import SHAPES


def read_checkpoint(folder: Path) -> tuple[Network, dict[str, Any]]:
    """Return the network ready to run, and the steps, tokens and seconds spent on it."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    network = Network(SHAPES[state["plan"]["shape"]])
    network.load_state_dict(state["network"])
    network.eval()
    facts = {name: state[name] for name in ("step", "tokens", "spent_s", "plan")}
    return network, facts


def arrays(network: Network) -> dict[str, NDArray[np.float32]]:
    """Return the network's weights and expert biases by name."""
    return {name: weight.detach().float().numpy() for name, weight in network.state_dict().items()}
