// The machine as the emulator gives it to kernel source: the functions of moe/simt/cuda.h by the
// same names. Each either computes at once or asks the machine (machine.h) to let the others run.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "machine.h"

#define DEVICE static inline
#define MEMBER static inline
#define DEVICE_MEMBER inline
#define KERNEL(threads, blocks) static void
#define DEVICE_TABLE static const
#define SHARED_MEMORY(name) uint8_t * name = emulator::now.shared
#define __restrict__

namespace simt {

using emulator::now;

DEVICE int thread_index() { return now.thread; }
DEVICE int block_index() { return now.block; }
DEVICE int block_size() { return now.block_size; }
DEVICE int grid_size() { return now.grid_size; }

DEVICE void sync_block() { emulator::meet(0, now.block_size); }
DEVICE void sync_some(int id, int threads) { emulator::meet(id, threads); }
DEVICE void sync_warp() { emulator::sync_warp(); }
DEVICE void wait_for_previous_kernel() {}

// ------------------------------------------------------------------ the warp

template <class T> DEVICE T shuffle(T value, int lane) {
    static_assert(sizeof(T) == 4, "the warp exchanges 32-bit values");
    uint32_t word;
    memcpy(&word, &value, 4);
    word = emulator::exchange(emulator::Collective::kShuffle, word, lane & 31);
    memcpy(&value, &word, 4);
    return value;
}
template <class T> DEVICE T shuffle_xor(T value, int mask) {
    return shuffle(value, (now.thread % 32) ^ mask);
}
DEVICE uint32_t ballot(bool yes) {
    return emulator::exchange(emulator::Collective::kBallot, yes, 0);
}
DEVICE uint32_t match_any(int value) {
    return emulator::exchange(emulator::Collective::kMatch, static_cast<uint32_t>(value), 0);
}
DEVICE int count_bits(uint32_t bits) { return __builtin_popcount(bits); }

DEVICE void mma_32(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                   uint32_t b1) {
    emulator::multiply(emulator::Collective::kMma32, c, {a0, a1, a2, a3}, {b0, b1});
}
DEVICE void mma_16(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t b0) {
    emulator::multiply(emulator::Collective::kMma16, c, {a0, a1, 0, 0}, {b0, 0});
}

// ------------------------------------------------------------------ bits

DEVICE uint32_t pick_bytes(uint32_t low, uint32_t high, uint32_t selector) {
    const uint64_t bytes = (static_cast<uint64_t>(high) << 32) | low;
    uint32_t picked = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t which = selector >> (4 * i);
        uint32_t byte = (bytes >> (8 * (which & 7))) & 0xff;
        if (which & 8) byte = byte & 0x80 ? 0xff : 0;  // repeats the sign, as prmt does
        picked |= byte << (8 * i);
    }
    return picked;
}
DEVICE uint32_t funnel_right(uint32_t low, uint32_t high, uint32_t bits) {
    return static_cast<uint32_t>(((static_cast<uint64_t>(high) << 32) | low) >> (bits & 31));
}
DEVICE float half_to_float(uint16_t bits) {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
    const int exponent = (bits >> 10) & 31;
    const float mantissa = bits & 0x3ff;
    float size = exponent == 0 ? ldexpf(mantissa, -24) : ldexpf(mantissa + 1024, exponent - 25);
    if (exponent == 31) size = mantissa != 0 ? NAN : INFINITY;
    return sign ? -size : size;
}
DEVICE float bits_to_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
DEVICE int round_to_int(float value) { return static_cast<int>(lrintf(value)); }

// ------------------------------------------------------------------ memory

template <class T> DEVICE T load(const void * from) {
    emulator::check_alignment(from, alignof(T), sizeof(T));
    T value;
    memcpy(&value, from, sizeof(T));
    return value;
}
template <class T> DEVICE T load_constant(const T * from) { return load<T>(from); }

DEVICE int add_release(int * counter, int value) {
    const int old = *counter;
    *counter += value;
    emulator::note_progress();
    return old;
}
DEVICE int add_shared(int * counter, int value) { return add_release(counter, value); }
DEVICE void wait_until_reaches(const int * counter, int value) {
    emulator::wait_for_counter(counter, value);
}

// ------------------------------------------------------------------ barriers and copies

DEVICE void barrier_init(uint64_t * barrier, int arrivals) {
    emulator::barrier_init(barrier, arrivals);
}
DEVICE void barrier_publish() {}
DEVICE void barrier_arrive(uint64_t * barrier) { emulator::barrier_arrive(barrier, 0); }
DEVICE void barrier_wait(uint64_t * barrier, int parity) {
    emulator::barrier_wait(barrier, parity);
}
DEVICE bool has_bulk_copies() { return emulator::compute_capability() >= 900; }
DEVICE void barrier_arrive_expecting(uint64_t * barrier, uint32_t bytes) {
    emulator::barrier_arrive(barrier, bytes);
}
DEVICE void copy_bulk(void * to, const void * from, uint32_t bytes, uint64_t * barrier) {
    emulator::copy_bulk(to, from, bytes, barrier);
}
DEVICE void copy_async(void * to, const void * from) { emulator::copy_async(to, from); }
DEVICE void arrive_after_copies(uint64_t * barrier) { emulator::arrive_after_copies(barrier); }

}  // namespace simt

// Vector types CUDA has built in.
struct alignas(8) uint2 { uint32_t x, y; };
struct alignas(16) uint4 { uint32_t x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
