"""`freehold bench kernels`: llama.cpp's expert kernels and Freehold's, by turns on this GPU."""

from __future__ import annotations

from collections.abc import Callable

from freehold.engine import gpu_pack, kernel_bench
from freehold.engine.ggml import list_devices
from freehold.errors import AppError


def measure_kernels(
    wanted: str, rounds: int, tell: Callable[[str], None]
) -> list[dict[str, object]]:
    """Measure the cases whose names contain `wanted`; return one row per case.

    Raises: AppError: there is no pack or no GPU, or no case of that name.
    """
    cases = [case for case in kernel_bench.CASES if wanted.lower() in case.name.lower()]
    if not cases:
        raise AppError(
            "not_found",
            f"No case has “{wanted}” in its name.",
            "Try a model (Kimi, gpt-oss, Qwen3, GLM) or a type (Q4_K, MXFP4).",
        )
    report = gpu_pack.load_pack()
    if report.state != "loaded" or report.reason:
        why = report.reason or "no GPU pack is installed"
        raise AppError(
            "not_supported",
            f"There are no expert kernels to measure: {why}.",
            "Build one with `make gpu-pack`; `freehold doctor` says what became of it.",
        )
    devices = [each for each in list_devices() if each.backend == "CUDA"]
    if not devices:
        raise AppError(
            "not_supported",
            "No GPU is seen, so there is nothing to measure.",
            "Run it on the machine with the GPU; check the driver with nvidia-smi.",
        )
    kernels = gpu_pack.open_kernels(gpu_pack.pack_folder() / gpu_pack.KERNELS)
    if isinstance(kernels, str):
        raise AppError("not_supported", f"The expert kernels do not load: {kernels}.", "")

    def switch(ours: bool) -> None:
        kernels.set_enabled(b"1" if ours else b"0")

    device = devices[0]
    tell(f"{device.description}; expert kernels {report.version} for {report.built_for}")
    rows = kernel_bench.measure_cases(cases, device.handle, switch, rounds, tell)
    return [row.to_dict() for row in rows]
