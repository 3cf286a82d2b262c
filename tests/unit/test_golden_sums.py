"""The golden answers, worked out by hand from published sizes: no planner, no llama.cpp.

For each model: its file's published size, and what of it is not routed experts, summed from the
published shape. What is left is shared evenly by the expert layers. A GPU holds attention and KV
cache first, then as many layers' experts as there is room for; RAM takes the next; the rest is
read from the disk if the file fits there.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

import pytest

from doubles.golden import GB, GOLDEN, PUBLISHED_BYTES
from freehold.paths import resources

CONTEXT = 16_384
Q8_0, Q6_K, BF16, F16 = 34 / 32, 210 / 256, 2.0, 2.0  # bytes per value

# Kimi K2: 61 layers, width 7168, 64 heads, q rank 1536, kv rank 512, rope 64, nope 128, value 128.
K2_ATTENTION = (
    7168 * 1536  # q down
    + 1536 * 64 * (128 + 64)  # q up
    + 7168 * (512 + 64)  # kv down
    + 512 * 64 * (128 + 128)  # keys and values up
    + 64 * 128 * 7168  # out
)
K2_SHARED = 3 * 7168 * 2048
K2_DENSE = 3 * 7168 * 18_432
K2_TABLE = 163_840 * 7168
K2_ROUTER = 7168 * 384 * 4  # bytes: routers stay in F32


def k2_like(layers: int, experts: int = 384) -> tuple[float, float, float]:
    """Return (bytes on GPUs but experts, bytes of the table, bytes of the KV cache)."""
    base = layers * K2_ATTENTION * Q8_0 + (layers - 1) * K2_SHARED * Q8_0 + K2_DENSE * Q8_0
    base += (layers - 1) * K2_ROUTER * experts / 384 + K2_TABLE * Q6_K
    return base, K2_TABLE * Q6_K, layers * (512 + 64) * F16 * CONTEXT


def gpt_oss() -> tuple[float, float, float]:
    """Return the same of gpt-oss-120b: 36 layers, width 2880, 64 heads of 64, 8 of them for KV."""
    attention = 2880 * (64 + 8 + 8) * 64 + 64 * 64 * 2880
    table = 201_088 * 2880
    # Sliding layers keep the whole context too: a follow-up turn must be able to go back.
    return 36 * attention * BF16 + table * BF16, table * BF16, 36 * 8 * 128 * F16 * CONTEXT


@dataclass(frozen=True)
class Model:
    """expert_layers: layers with routed experts; base, table, kv: bytes."""

    name: str
    expert_layers: int
    base: float
    table: float
    kv: float

    @property
    def layer_bytes(self) -> float:
        """Return the bytes of one layer's routed experts."""
        return (PUBLISHED_BYTES[self.name] - self.base - self.table) / self.expert_layers


MODELS = (
    Model("UD-TQ1_0", 60, *k2_like(61)),
    Model("UD-Q2_K_XL", 60, *k2_like(61)),
    Model("Q4_K_M", 60, *k2_like(61)),
    Model("K3 UD-IQ1_S", 69, *k2_like(70, 896)),
    Model("K3 Q4", 69, *k2_like(70, 896)),
    Model("gpt-oss-120b", 36, *gpt_oss()),
)
# GPUs and bytes each, RAM, disk: an H100 shows 85.5 GB to programs, an H200 150.7 GB.
MACHINES = {
    "laptop-16gb": (0, 0.0, 16, 512),
    "h100-64gb": (1, 85.5, 64, 2000),
    "h100-512gb": (1, 85.5, 512, 4000),
    "2xh100-512gb": (2, 85.5, 512, 4000),
    "8xh200": (8, 150.7, 2000, 15_000),
}
# Kept free on each GPU, and what CUDA and llama.cpp's buffers take there: about this.
GPU_RESERVE, GPU_BUFFERS = 1.0 * GB, 1.2 * GB
# The system's, what is kept free, and llama.cpp's buffers: about this.
RAM_TAKEN = (2.0 + 2.0 + 0.6) * GB


def by_hand(model: Model, machine: str) -> tuple[str, float, float]:
    """Return (verdict, expert layers on GPUs, expert layers in RAM), layers in parts."""
    gpus, vram, ram, disk = MACHINES[machine]
    room = gpus * (vram * GB - GPU_RESERVE - GPU_BUFFERS) - model.base - model.kv if gpus else 0.0
    on_gpu = min(float(model.expert_layers), max(0.0, room / model.layer_bytes))
    in_ram_room = ram * GB - RAM_TAKEN - model.table
    if not gpus:
        in_ram_room -= model.base + model.kv
    left = model.expert_layers - on_gpu
    in_ram = min(left, max(0.0, in_ram_room / model.layer_bytes))
    if PUBLISHED_BYTES[model.name] > 0.9 * disk * GB:
        return "no", on_gpu, 0.0
    if left < 0.5:
        return "gpu", on_gpu, 0.0
    return ("gpu+ram" if left - in_ram < 0.5 else "disk"), on_gpu, in_ram


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("machine", MACHINES)
def test_the_golden_answers_are_the_sums(model: Model, machine: str) -> None:
    verdict, on_gpu, in_ram = GOLDEN[model.name][machine]
    summed, gpu_layers, ram_layers = by_hand(model, machine)
    assert verdict == summed
    if verdict == "no":
        return
    # A layer is not cut: each GPU may leave one's room empty. Types differ a little by layer.
    gpus = MACHINES[machine][0]
    assert gpu_layers - gpus - 1 <= on_gpu <= gpu_layers + 1
    assert ram_layers - 1.5 <= in_ram <= ram_layers + gpus + 1


def test_the_shape_adds_up_to_the_published_parameters() -> None:
    """1.03 trillion parameters of Kimi K2, of which about 32 billion work per token."""
    experts = 60 * 384 * K2_SHARED
    rest = 61 * K2_ATTENTION + 60 * K2_SHARED + K2_DENSE + 2 * K2_TABLE + 60 * 7168 * 384
    assert experts + rest == pytest.approx(1.03e12, rel=0.01)
    active = 60 * 8 * K2_SHARED + rest - K2_TABLE
    assert active == pytest.approx(32e9, rel=0.03)


def test_the_machines_are_those_of_the_file() -> None:
    with (resources() / "machines.toml").open("rb") as file:
        found = tomllib.load(file)
    cards = {card["name"]: card for card in found["gpu"]}
    machines = {machine["name"]: machine for machine in found["machine"]}
    for name, (gpus, vram, ram, disk) in MACHINES.items():
        held = machines[name].get("gpus", [])
        assert len(held) == gpus
        assert all(cards[card]["usable_gigabytes"] == vram for card in held)
        assert (machines[name]["ram_gigabytes"], machines[name]["disk_gigabytes"]) == (ram, disk)


def test_every_figure_has_a_source_or_is_called_an_estimate() -> None:
    with (resources() / "machines.toml").open("rb") as file:
        found = tomllib.load(file)
    told = {"ram_gigabytes", "disk_gigabytes"}  # what the machine is, not what was found out
    for entry in [*found["gpu"], *found["machine"]]:
        figures = {key for key, value in entry.items() if isinstance(value, int | float)} - told
        estimated = set(entry.get("estimated", ()))
        assert estimated <= figures, entry["name"]
        if "checked_on" not in entry:
            assert figures == estimated, entry["name"]
        assert entry["source"]
