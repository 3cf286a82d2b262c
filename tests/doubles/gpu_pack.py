"""Packs made of a few lines of C, which load into the real llama.cpp without a GPU."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bootstrap.native_build import SOURCE_NAME, cache_folder

KERNELS = Path(__file__).parents[2] / "kernels"

BACKEND = """
#include "ggml-backend-impl.h"
#include <string.h>
static const char * name(ggml_backend_reg_t reg) { (void) reg; return "DOUBLE"; }
static size_t none(ggml_backend_reg_t reg) { (void) reg; return 0; }
static ggml_backend_dev_t no_device(ggml_backend_reg_t reg, size_t i) {
    (void) reg; (void) i; return 0;
}
static const void * kernels;
int double_set(const void * table) { kernels = table; return REFUSES ? -1 : 0; }
static void * find(ggml_backend_reg_t reg, const char * wanted) {
    (void) reg;
    return HOOKED && !strcmp(wanted, "freehold_moe_set_kernels") ? (void *) double_set : 0;
}
static struct ggml_backend_reg registry = {
    GGML_BACKEND_API_VERSION, {name, none, no_device, find}, 0
};
ggml_backend_reg_t ggml_backend_init(void) { return &registry; }
"""

TABLE = """
#include "moe_kernels.h"
#include <string.h>
static int enabled[2] = {1, 0};
static const char * const names[2] = {"stream", "router"};
static int set_enabled(const char * list) { enabled[0] = list[0] != 48; return 0; }
static uint64_t generation(void) { return 1; }
static int32_t count(void) { return 2; }
static const char * name(int32_t i) { return names[i]; }
static int32_t is_enabled(int32_t i) { return enabled[i]; }
static const char * no_error(void) { return ""; }
static moe_kernels table;
const moe_kernels * moe_kernels_get(uint32_t version) {
    table.abi_version = MOE_ABI_VERSION;
    table.struct_bytes = sizeof table;
    table.version = "9.8.7";
    table.build = "sm_90";
    table.set_enabled = set_enabled;
    table.generation = generation;
    table.kernel_count = count;
    table.kernel_name = name;
    table.kernel_enabled = is_enabled;
    table.last_error = no_error;
    return version == MOE_ABI_VERSION && !OTHER_VERSION ? &table : 0;
}
"""


def make_pack(
    folder: Path, *, hooked: bool = True, refuses: bool = False, other_version: bool = False
) -> Path:
    """Compile a pack into `folder`; skips the test where ggml's headers are not at hand."""
    source = cache_folder() / "src" / SOURCE_NAME / "vendor/llama.cpp/ggml"
    if not source.is_dir():
        pytest.skip("the pinned source package is not unpacked here")
    folder.mkdir(parents=True)
    flags = [f"-DHOOKED={int(hooked)}", f"-DREFUSES={int(refuses)}"]
    flags += [f"-DOTHER_VERSION={int(other_version)}"]
    includes = [f"-I{source / 'include'}", f"-I{source / 'src'}", f"-I{KERNELS / 'moe/include'}"]
    for name, code in (("libggml-cuda.so", BACKEND), ("libmoe_kernels.so", TABLE)):
        file = folder / f"{name}.c"
        file.write_text(code)
        subprocess.run(
            ["cc", "-shared", "-fPIC", *flags, *includes, str(file), "-o", str(folder / name)],
            check=True,
        )
    return folder
