// Sixteen signed bytes behind a nibble, packed four to a word for byte picking.
#pragma once

#include <stdint.h>

namespace moe {

// -127 -104 -83 -65 | -49 -35 -22 -10 | 1 13 25 38 | 53 69 89 113
struct Iq4Values {
    static constexpr uint32_t k0 = 0xbfad9881, k1 = 0xf6eaddcf, k2 = 0x26190d01, k3 = 0x71594535;
};

// 0 1 2 3 | 4 6 8 12 | 0 -1 -2 -3 | -4 -6 -8 -12: twice what FP4 (E2M1) means
struct Fp4Values {
    static constexpr uint32_t k0 = 0x03020100, k1 = 0x0c080604, k2 = 0xfdfeff00, k3 = 0xf4f8fafc;
};

}  // namespace moe
