// An mbarrier as the manual describes it: a phase ends when all arrivals and all announced bytes
// have come. The state lies beside the shared memory, so that overwriting it is noticed.
#pragma once

#include <cstdint>
#include <vector>

namespace emulator {

struct SharedBarrier {
    const uint64_t * place;
    int arrivals;  // per phase
    int pending;
    int64_t bytes;  // announced and not yet there; may be below zero while copies are early
    int phase;
};

class SharedBarriers {
  public:
    void init(uint64_t * place, int arrivals);
    void arrive(uint64_t * place, uint32_t expected_bytes);
    void complete(uint64_t * place, uint32_t bytes);
    // Whether the phase of this parity is over.
    bool is_over(const uint64_t * place, int parity);
    const SharedBarrier & at(const uint64_t * place) { return find(place); }

  private:
    SharedBarrier & find(const uint64_t * place);
    void finish_phase_if_done(SharedBarrier & barrier);
    std::vector<SharedBarrier> barriers_;
};

}  // namespace emulator
