// What lanes of one warp give each other. A lane leaves its part and waits; the last one computes
// for all.
#pragma once

#include <array>
#include <cstdint>

#include "machine.h"

namespace emulator {

struct Deposit {
    Collective kind = Collective::kNone;
    uint32_t value = 0;
    int lane = 0;
    std::array<uint32_t, 4> a{};
    std::array<uint32_t, 2> b{};
    int * c = nullptr;  // of the waiting lane; 16 bytes
    uint32_t result = 0;
};

struct Warp {
    std::array<Deposit, 32> deposits;
    int waiting = 0;
    uint32_t ended = 0;  // a bit per lane that has left the kernel

    // Leaves `deposit` for `lane`; true if it was the last, and then every lane has its result.
    bool add(int lane, const Deposit & deposit);
};

const char * name_of(Collective kind);

}  // namespace emulator
