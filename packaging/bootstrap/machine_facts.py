"""Look at the machine: compiler, processor, CUDA toolkit, NVIDIA driver."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from bootstrap.build_plan import Driver, MachineFacts, Toolkit
from bootstrap.progress import SetupError

DRIVER_LIBRARIES = (
    "libcuda.so.1",
    "/usr/lib/wsl/lib/libcuda.so.1",
    "/usr/local/nvidia/lib64/libcuda.so.1",
)
COMPUTE_MAJOR, COMPUTE_MINOR = 75, 76  # CUdevice_attribute


def look() -> MachineFacts:
    """Return everything that decides the native build.

    Raises: SetupError if there is no C++ compiler.
    """
    driver, problem = find_driver()
    return MachineFacts(
        compiler_version=_compiler_version(),
        cpu_target=_cpu_target(),
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=_available_memory(),
        toolkit=find_toolkit(),
        driver=driver,
        driver_problem=problem,
        forced_cpu=_forced_cpu(),
    )


def outline() -> dict[str, str]:
    """Return cheap signs that change whenever `look` would answer otherwise."""
    nvcc = _nvcc_path()
    driver = next((path for path in map(_find_library_file, DRIVER_LIBRARIES) if path), None)
    devices = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    return {
        "compiler": _stamp(shutil.which("c++")),
        "nvcc": _stamp(nvcc),
        "driver": _stamp(driver),
        "devices": ",".join(devices),
        "cpu": hashlib.sha256(_cpu_flags().encode()).hexdigest()[:16],
        "forced_cpu": str(_forced_cpu()),
    }


def find_toolkit() -> Toolkit | None:
    """Return the CUDA toolkit named by CUDA_HOME or CUDA_PATH, on PATH or in its usual place."""
    nvcc = _nvcc_path()
    if nvcc is None:
        return None
    result = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"release (\d+)\.(\d+)", result.stdout)
    if found is None:
        return None
    version = (int(found[1]), int(found[2]))
    return Toolkit(nvcc, version, _has_cublas(_toolkit_root(nvcc)))


def find_driver() -> tuple[Driver | None, str]:
    """Return the NVIDIA driver and its devices, or None and what is wrong."""
    for name in DRIVER_LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        return _ask_driver(library)
    if shutil.which("nvidia-smi"):
        return None, "nvidia-smi is installed, but the driver's library libcuda.so.1 is not found"
    return None, "no NVIDIA driver was found (libcuda.so.1)"


def _ask_driver(library: ctypes.CDLL) -> tuple[Driver | None, str]:
    code = library.cuInit(0)
    if code != 0:
        return None, f"the NVIDIA driver does not start (cuInit gives {code})"
    number = ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(number))
    version = (number.value // 1000, number.value % 1000 // 10)
    library.cuDeviceGetCount(ctypes.byref(number))
    names, architectures = [], []
    for index in range(number.value):
        device, value = ctypes.c_int(), ctypes.c_int()
        name = ctypes.create_string_buffer(128)
        library.cuDeviceGet(ctypes.byref(device), index)
        library.cuDeviceGetName(name, len(name), device)
        names.append(name.value.decode(errors="replace"))
        digits = ""
        for attribute in (COMPUTE_MAJOR, COMPUTE_MINOR):
            library.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
            digits += str(value.value)
        architectures.append(digits)
    if not names:
        return None, "the NVIDIA driver sees no device"
    return Driver(version, tuple(names), tuple(architectures), _loaded_file("libcuda.so")), ""


def _loaded_file(name: str) -> str:
    """Return the file of a library this process has loaded, empty if it is not found."""
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return ""
    found = re.search(rf"(/\S*/{re.escape(name)}\S*)$", maps, re.MULTILINE)
    return found[1] if found else ""


def _nvcc_path() -> str | None:
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        root = os.environ.get(variable)
        if root and (Path(root) / "bin/nvcc").is_file():
            return str(Path(root) / "bin/nvcc")
    on_path = shutil.which("nvcc")
    if on_path:
        return on_path
    usual = Path("/usr/local/cuda/bin/nvcc")
    return str(usual) if usual.is_file() else None


def _toolkit_root(nvcc: str) -> Path:
    """Return the toolkit's folder as nvcc itself names it (nvcc may be a wrapper script)."""
    result = subprocess.run(
        [nvcc, "-dryrun", "-E", "-x", "cu", os.devnull], capture_output=True, text=True, check=False
    )
    found = re.search(r"^#\$ TOP=(.+)$", result.stderr, re.MULTILINE)
    return Path(found[1].strip()) if found else Path(nvcc).resolve().parents[1]


def _has_cublas(root: Path) -> bool:
    headers = [*root.glob("include/cublas_v2.h"), *root.glob("targets/*/include/cublas_v2.h")]
    libraries = [*root.glob("lib*/libcublas.so"), *root.glob("targets/*/lib/libcublas.so")]
    return bool(headers and libraries)


def _compiler_version() -> str:
    compiler = shutil.which("c++")
    if compiler is None:
        raise SetupError(
            "There is no C++ compiler.",
            "Run: sudo apt-get install -y g++   and then the command again.",
        )
    result = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    return result.stdout.partition("\n")[0]


def _cpu_target() -> str:
    """Return a digest of what -march=native means here, as the compiler itself defines it."""
    result = subprocess.run(
        ["c++", "-march=native", "-E", "-dM", "-x", "c++", os.devnull],
        capture_output=True,
        check=False,
    )
    macros = result.stdout if result.returncode == 0 else _cpu_flags().encode()
    return f"{platform.machine()}-{hashlib.sha256(macros).hexdigest()[:16]}"


def _cpu_flags() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = " ".join(sorted(found[1].split())) if found else platform.processor()
    return f"{platform.machine()} {model[1] if model else ''} {flags}"


def _available_memory() -> int:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        text = ""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 4 * 1024**3


def _forced_cpu() -> bool:
    return os.environ.get("FREEHOLD_BACKEND", "").lower() == "cpu"


def _find_library_file(name: str) -> str | None:
    if name.startswith("/"):
        return name if Path(name).exists() else None
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"):
        if (Path(folder) / name).exists():
            return str(Path(folder) / name)
    return None


def _stamp(path: str | None) -> str:
    if path is None:
        return ""
    target = Path(path).resolve()
    try:
        facts = target.stat()
    except OSError:
        return ""
    return f"{target}:{facts.st_size}:{facts.st_mtime_ns}"
