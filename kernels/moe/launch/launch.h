// Puts a kernel on a stream: CUDA's way, or the emulator's.
#pragma once

#include <stddef.h>

#include <string>

#include "../include/moe_kernels.h"
#include "../simt/simt.h"

namespace moe {

std::string & last_error();  // of this thread

#if defined(__CUDACC__)

inline int check(cudaError_t status, const char * what) {
    if (status != cudaSuccess) {
        last_error() = std::string(what) + ": " + cudaGetErrorString(status);
        cudaGetLastError();  // said once is enough: the next call must not find it
    }
    return static_cast<int>(status);
}

// `spread`: all blocks must be on the device at once, because they wait for one another.
template <class... Args>
int launch(const moe_device & device, const char * name, void (*kernel)(Args...), int grid,
           int threads, size_t shared_bytes, bool spread, Args... args) {
    if (shared_bytes > 48 * 1024) {
        const int status = check(
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(shared_bytes)), name);
        if (status != 0) return status;
    }
    cudaLaunchAttribute attribute = {};
    if (spread) {
        attribute.id = cudaLaunchAttributeCooperative;
        attribute.val.cooperative = 1;
    } else {
        attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attribute.val.programmaticStreamSerializationAllowed = 1;
    }
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(grid);
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared_bytes;
    config.stream = static_cast<cudaStream_t>(device.stream);
    config.attrs = &attribute;
    config.numAttrs = spread || device.compute >= 900 ? 1 : 0;
    return check(cudaLaunchKernelEx(&config, kernel, args...), name);
}

#else

template <class... Args>
int launch(const moe_device & device, const char * name, void (*kernel)(Args...), int grid,
           int threads, size_t shared_bytes, bool spread, Args... args) {
    emulator::settings.compute = device.compute;
    emulator::settings.all_resident = spread;
    const std::string error =
        emulator::launch(grid, threads, shared_bytes, [&] { kernel(args...); });
    if (error.empty()) return 0;
    last_error() = std::string(name) + ": " + error;
    return 1;
}

#endif

}  // namespace moe
