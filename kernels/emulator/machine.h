// A machine of blocks, warps and lanes on one CPU thread. Every lane is a fiber; it runs until it
// must wait, and the scheduler picks the next warp in an order drawn from a seed.
//
// What it watches: collectives that not all lanes of a warp reach, lanes that can never go on,
// misaligned or out-of-range copies, barriers used before their time, memory faults.
// What it cannot see: missing fences, bank conflicts, speed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace emulator {

// The lane that runs now; kernels read it through moe/simt.
struct Now {
    int thread = 0, block = 0, block_size = 0, grid_size = 0;
    uint8_t * shared = nullptr;
};
extern Now now;

enum class Collective { kNone, kSync, kShuffle, kBallot, kMatch, kMma32, kMma16 };

// ------------------------------------------------------------------ what kernels call

void sync_warp();
uint32_t exchange(Collective kind, uint32_t value, int lane);
void multiply(Collective kind, int (&c)[4], std::array<uint32_t, 4> a, std::array<uint32_t, 2> b);
void meet(int barrier, int threads);
void wait_for_counter(const int * counter, int value);
void note_progress();

void barrier_init(uint64_t * barrier, int arrivals);
void barrier_arrive(uint64_t * barrier, uint32_t expected_bytes);
void barrier_wait(uint64_t * barrier, int parity);
void copy_bulk(void * to, const void * from, uint32_t bytes, uint64_t * barrier);
void copy_async(void * to, const void * from);
void arrive_after_copies(uint64_t * barrier);

int compute_capability();
[[noreturn]] void fail(const std::string & what);

inline void check_alignment(const void * pointer, size_t alignment, size_t bytes) {
    if (reinterpret_cast<uintptr_t>(pointer) % alignment != 0) {
        fail("a load of " + std::to_string(bytes) + " bytes is not aligned");
    }
}

// ------------------------------------------------------------------ what hosts call

struct Settings {
    uint64_t seed = 1;      // of the order in which warps run, blocks start and copies land
    int compute = 900;      // 800 has no bulk copies
    int shared_limit = 227 * 1024;
    bool all_resident = false;  // every block runs from the start: for kernels that wait for others
};
extern Settings settings;

struct Counts {  // since `reset_counts`
    uint64_t launches, blocks, copied_bytes, copies, multiplications, turns;
};
extern Counts counts;

// Runs `lane` for every thread of every block. Returns "" or what went wrong.
std::string launch(int grid, int threads, size_t shared_bytes, const std::function<void()> & lane);

// Memory that copies may read: it ends at a page no one may touch.
void * allocate(size_t bytes);
void release(void * memory);

}  // namespace emulator
