// What a kernel may use of the machine. One kernel source: nvcc compiles it against cuda.h, the
// system's compiler against the emulator, whose functions do the same and watch for misuse.
//
// Rules that keep both alike: blocks are one-dimensional; collectives are called by all 32 lanes of
// a warp; shared memory is one block carved by hand; all PTX stands behind a function here.
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__CUDACC__)
#include "cuda.h"
#else
#include "../../emulator/lane.h"
#endif

namespace simt {

constexpr int kWarp = 32;

DEVICE int lane_index() { return thread_index() % kWarp; }
DEVICE int warp_index() { return thread_index() / kWarp; }

template <class T> DEVICE T warp_sum(T value) {
#pragma unroll
    for (int step = kWarp / 2; step > 0; step /= 2) value += shuffle_xor(value, step);
    return value;
}

template <class T> DEVICE T warp_max(T value) {
#pragma unroll
    for (int step = kWarp / 2; step > 0; step /= 2) {
        const T other = shuffle_xor(value, step);
        value = other > value ? other : value;
    }
    return value;
}

// A launch may begin while the kernel before it ends (launch/launch.h asks for that): nothing that
// one writes may be read before this.
DEVICE void begin_after_previous() { wait_for_previous_kernel(); }

}  // namespace simt
