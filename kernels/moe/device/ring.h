// The ring through which weights stream into shared memory: one warp fetches, eight compute. Each
// stage has two barriers, "full" and "empty"; whoever waits keeps its place and the phase's parity.
#pragma once

#include "../simt/simt.h"
#include "shape.h"

namespace moe {

constexpr int kMaxStages = 8;
constexpr int kBarrierBytes = 2 * kMaxStages * 8;

struct Ring {
    uint64_t * full;
    uint64_t * empty;
    uint8_t * stages;
    int stage_bytes;
    int count;
    int at = 0;
    int parity = 0;

    DEVICE_MEMBER uint8_t * stage() const { return stages + at * stage_bytes; }
    DEVICE_MEMBER void advance() {
        if (++at == count) {
            at = 0;
            parity ^= 1;
        }
    }
    DEVICE_MEMBER void wait_until_full() const { simt::barrier_wait(full + at, parity); }
    DEVICE_MEMBER void wait_until_empty() const { simt::barrier_wait(empty + at, parity ^ 1); }
    // One arrival per warp: all its lanes have read what they need.
    DEVICE_MEMBER void give_back() const {
        simt::sync_warp();
        if (simt::lane_index() == 0) simt::barrier_arrive(empty + at);
    }
};

// By all threads of the block, before any of them uses the ring.
DEVICE Ring make_ring(uint8_t * barriers, uint8_t * stages, int stage_bytes, int count) {
    Ring ring;
    ring.full = reinterpret_cast<uint64_t *>(barriers);
    ring.empty = ring.full + kMaxStages;
    ring.stages = stages;
    ring.stage_bytes = stage_bytes;
    ring.count = count;
    if (simt::thread_index() == 0) {
        // Bulk copies: one arrival that announces the bytes. Small copies: each lane arrives when
        // its own are there.
        const int arrivals = simt::has_bulk_copies() ? 1 : simt::kWarp;
        for (int i = 0; i < count; i++) {
            simt::barrier_init(ring.full + i, arrivals);
            simt::barrier_init(ring.empty + i, kConsumers);
        }
        simt::barrier_publish();
    }
    simt::sync_block();
    return ring;
}

// Fetches `bytes` from `from` so that they lie at to + (from mod 16): copies must begin and end at
// multiples of 16 bytes, so up to 15 bytes before and behind come along. They belong to the same
// tensor: 16 rows of any type are a multiple of 16 bytes, and matrices begin at one (support.cpp).
// Returns the bytes a barrier has to be told of.
DEVICE uint32_t fetch_row(uint8_t * to, const uint8_t * from, int bytes, uint64_t * barrier) {
    const int before = static_cast<int>(reinterpret_cast<uintptr_t>(from) & 15);
    const uint8_t * first = from - before;
    const int window = (before + bytes + 15) & ~15;
    if (simt::has_bulk_copies()) {
        simt::copy_bulk(to, first, window, barrier);
    } else {
        for (int i = 0; i < window; i += 16) simt::copy_async(to + i, first + i);
    }
    return window;
}

// After every lane has fetched its rows; `bytes` is what this lane's fetches returned.
DEVICE void announce(uint64_t * barrier, uint32_t bytes) {
    if (simt::has_bulk_copies()) {
        const uint32_t all = simt::warp_sum(bytes);
        if (simt::lane_index() == 0) simt::barrier_arrive_expecting(barrier, all);
    } else {
        simt::arrive_after_copies(barrier);
    }
}

}  // namespace moe
