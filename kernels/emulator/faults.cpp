// Kernels that are wrong on purpose: tests see whether the emulator notices.
#include <cstring>
#include <string>

#include "../moe/device/ring.h"

namespace {

using namespace simt;

struct Fault {
    const char * name;
    void (*kernel)(const uint8_t * weights);
};

void misaligned_copy(const uint8_t * weights) {
    SHARED_MEMORY(memory);
    auto * barrier = reinterpret_cast<uint64_t *>(memory);
    if (thread_index() == 0) {
        barrier_init(barrier, 1);
        copy_bulk(memory + 128, weights + 4, 16, barrier);
    }
}

void copy_beyond_the_buffer(const uint8_t * weights) {
    SHARED_MEMORY(memory);
    auto * barrier = reinterpret_cast<uint64_t *>(memory);
    if (thread_index() == 0) {
        barrier_init(barrier, 1);
        copy_bulk(memory + 128, weights + 4080, 32, barrier);
    }
}

void copy_outside_shared_memory(const uint8_t * weights) {
    SHARED_MEMORY(memory);
    auto * barrier = reinterpret_cast<uint64_t *>(memory);
    if (thread_index() == 0) {
        barrier_init(barrier, 1);
        copy_bulk(memory + 1024, weights, 16, barrier);
    }
}

void bytes_never_announced(const uint8_t * weights) {  // the phase cannot end at zero
    SHARED_MEMORY(memory);
    auto * barrier = reinterpret_cast<uint64_t *>(memory);
    if (thread_index() == 0) {
        barrier_init(barrier, 1);
        copy_bulk(memory + 128, weights, 64, barrier);
        barrier_arrive_expecting(barrier, 48);
    }
    sync_block();
    barrier_wait(barrier, 0);
}

void wrong_parity(const uint8_t *) {
    SHARED_MEMORY(memory);
    auto * barrier = reinterpret_cast<uint64_t *>(memory);
    if (thread_index() == 0) barrier_init(barrier, 1);
    sync_block();
    if (thread_index() == 0) barrier_arrive(barrier);
    barrier_wait(barrier, 1);  // waits for the end of the phase that has just begun
    barrier_wait(barrier, 0);
    barrier_wait(barrier, 1);
}

void too_many_arrivals(const uint8_t *) {
    SHARED_MEMORY(memory);
    auto * barrier = reinterpret_cast<uint64_t *>(memory);
    if (thread_index() == 0) {
        barrier_init(barrier, 2);
        barrier_arrive_expecting(barrier, 16);  // the phase cannot end: these bytes do not come
        barrier_arrive(barrier);
        barrier_arrive(barrier);
    }
}

void barrier_without_init(const uint8_t *) {
    SHARED_MEMORY(memory);
    if (thread_index() == 0) barrier_arrive(reinterpret_cast<uint64_t *>(memory));
}

void barrier_overwritten(const uint8_t *) {
    SHARED_MEMORY(memory);
    auto * barrier = reinterpret_cast<uint64_t *>(memory);
    if (thread_index() == 0) {
        barrier_init(barrier, 1);
        *barrier = 7;
        barrier_arrive(barrier);
    }
}

void half_a_warp_shuffles(const uint8_t *) {
    if (lane_index() < 16) shuffle(1, 0);
    else ballot(true);
}

void some_lanes_leave(const uint8_t *) {
    if (lane_index() == 3) return;
    sync_warp();
}

void half_a_block_meets(const uint8_t *) {
    if (warp_index() == 0) sync_block();
    else sync_some(1, 64);
}

void counter_nobody_raises(const uint8_t * weights) {
    wait_until_reaches(reinterpret_cast<const int *>(weights), 0x7fffffff);
}

void ends_before_its_copies(const uint8_t * weights) {
    SHARED_MEMORY(memory);
    auto * barrier = reinterpret_cast<uint64_t *>(memory);
    if (thread_index() != 0) return;
    barrier_init(barrier, 1);
    for (int i = 0; i < 32; i++) copy_bulk(memory + 128 + 16 * i, weights + 16 * i, 16, barrier);
}

void store_beyond_the_buffer(const uint8_t * weights) {
    if (thread_index() == 5) const_cast<uint8_t *>(weights)[4096] = 1;
}

void misaligned_load(const uint8_t * weights) { load<uint2>(weights + 4); }

constexpr Fault kFaults[] = {
    {"misaligned_copy", misaligned_copy},
    {"copy_beyond_the_buffer", copy_beyond_the_buffer},
    {"copy_outside_shared_memory", copy_outside_shared_memory},
    {"bytes_never_announced", bytes_never_announced},
    {"wrong_parity", wrong_parity},
    {"too_many_arrivals", too_many_arrivals},
    {"barrier_without_init", barrier_without_init},
    {"barrier_overwritten", barrier_overwritten},
    {"half_a_warp_shuffles", half_a_warp_shuffles},
    {"some_lanes_leave", some_lanes_leave},
    {"half_a_block_meets", half_a_block_meets},
    {"counter_nobody_raises", counter_nobody_raises},
    {"ends_before_its_copies", ends_before_its_copies},
    {"store_beyond_the_buffer", store_beyond_the_buffer},
    {"misaligned_load", misaligned_load},
};

}  // namespace

// Runs one of the wrong kernels over `weights` (4096 bytes) and returns what was said, "" if nothing.
extern "C" __attribute__((visibility("default"))) const char * emulator_try_fault(
    const char * name, const uint8_t * weights) {
    static std::string said;
    said = "there is no such fault";
    emulator::settings.compute = 900;
    emulator::settings.all_resident = false;
    for (const Fault & fault : kFaults) {
        if (strcmp(fault.name, name) != 0) continue;
        said = emulator::launch(2, 64, 1024, [&] { fault.kernel(weights); });
    }
    return said.c_str();
}
