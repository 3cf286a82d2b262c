#include "shared_barrier.h"

#include "machine.h"

namespace emulator {
namespace {
constexpr uint64_t kMark = 0x66726565686f6c64;  // what the word of a live barrier holds
constexpr int64_t kMostBytes = (1 << 20) - 1;   // of the transaction count, by the PTX manual
}  // namespace

void SharedBarriers::init(uint64_t * place, int arrivals) {
    check_alignment(place, 8, 8);
    for (const auto & barrier : barriers_) {
        if (barrier.place == place) fail("a barrier is initialised twice");
    }
    *place = kMark;
    barriers_.push_back({place, arrivals, arrivals, 0, 0});
}

SharedBarrier & SharedBarriers::find(const uint64_t * place) {
    for (auto & barrier : barriers_) {
        if (barrier.place != place) continue;
        if (*place != kMark) fail("the word of a barrier was overwritten");
        return barrier;
    }
    fail("a barrier is used before it is initialised");
}

void SharedBarriers::finish_phase_if_done(SharedBarrier & barrier) {
    if (barrier.pending != 0 || barrier.bytes != 0) return;
    barrier.phase ^= 1;
    barrier.pending = barrier.arrivals;
    note_progress();
}

void SharedBarriers::arrive(uint64_t * place, uint32_t expected_bytes) {
    auto & barrier = find(place);
    if (barrier.pending == 0) fail("more lanes arrive at a barrier than it was initialised for");
    barrier.bytes += expected_bytes;
    if (barrier.bytes > kMostBytes) fail("a barrier cannot count that many bytes");
    barrier.pending--;
    note_progress();
    finish_phase_if_done(barrier);
}

void SharedBarriers::complete(uint64_t * place, uint32_t bytes) {
    auto & barrier = find(place);
    barrier.bytes -= bytes;
    finish_phase_if_done(barrier);
}

bool SharedBarriers::is_over(const uint64_t * place, int parity) {
    return find(place).phase != parity;
}

}  // namespace emulator
