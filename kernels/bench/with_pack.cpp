// Preloaded into a program that uses ggml (LD_PRELOAD): adds the GPU pack of FREEHOLD_GPU_PACK with
// its expert kernels before `main`, as the application does for itself. So llama.cpp's own
// test-backend-ops tests them without being changed.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "../moe/include/moe_kernels.h"

extern "C" {
void * ggml_backend_load(const char * path);
void * ggml_backend_reg_get_proc_address(void * registry, const char * name);
}

namespace {

[[noreturn]] void give_up(const std::string & why) {
    fprintf(stderr, "with_pack: %s\n", why.c_str());
    exit(3);
}

__attribute__((constructor)) void add_pack() {
    const char * folder = getenv("FREEHOLD_GPU_PACK");
    if (folder == nullptr) give_up("FREEHOLD_GPU_PACK names no folder");
    const std::string pack = folder;
    void * registry = ggml_backend_load((pack + "/libggml-cuda.so").c_str());
    if (registry == nullptr) give_up("libggml-cuda.so does not load");
    void * library = dlopen((pack + "/libmoe_kernels.so").c_str(), RTLD_NOW);
    if (library == nullptr) give_up(dlerror());
    const auto get = reinterpret_cast<decltype(&moe_kernels_get)>(dlsym(library, "moe_kernels_get"));
    const moe_kernels * kernels = get != nullptr ? get(MOE_ABI_VERSION) : nullptr;
    if (kernels == nullptr) give_up("libmoe_kernels.so speaks another version");
    const auto set = reinterpret_cast<int (*)(const moe_kernels *)>(
        ggml_backend_reg_get_proc_address(registry, "freehold_moe_set_kernels"));
    if (set == nullptr || set(kernels) != 0) give_up("the backend does not take the kernels");
    fprintf(stderr, "with_pack: expert kernels %s for %s\n", kernels->version, kernels->build);
}

}  // namespace
