// Q8_0, Q4_0, IQ4_NL, MXFP4: 32 values and one scale.
#pragma once

#include "tables.h"
#include "traits.h"

namespace moe {

struct Q80 : SmallBlock {
    static constexpr int kType = 8, kBlockBytes = 34, kAlign = 2;
    static constexpr Order kOrder = Order::kFour;
    MEMBER void codes(const uint8_t * block, int t, uint32_t (&words)[2]) {
        words[0] = load_word<kAlign>(block + 2 + 4 * t);
        words[1] = load_word<kAlign>(block + 18 + 4 * t);
    }
    MEMBER float factor(const uint8_t * block) {
        return simt::half_to_float(simt::load<uint16_t>(block));
    }
};

struct Q40 : SmallBlock {
    static constexpr int kType = 2, kBlockBytes = 18, kAlign = 2;
    static constexpr Order kOrder = Order::kFour;
    // A nibble in the upper half of a byte, its top bit turned over, is 16 * (q - 8) as it stands.
    MEMBER void codes(const uint8_t * block, int t, uint32_t (&words)[2]) {
        const uint32_t nibbles = load_word<kAlign>(block + 2 + 4 * t);
        words[0] = ((nibbles << 4) & 0xf0f0f0f0u) ^ 0x80808080u;
        words[1] = (nibbles & 0xf0f0f0f0u) ^ 0x80808080u;
    }
    MEMBER float factor(const uint8_t * block) {
        return simt::half_to_float(simt::load<uint16_t>(block)) * 0.0625f;
    }
};

struct IQ4NL : SmallBlock {
    static constexpr int kType = 20, kBlockBytes = 18, kAlign = 2;
    static constexpr Order kOrder = Order::kNibble;
    MEMBER void codes(const uint8_t * block, int t, uint32_t (&words)[2]) {
        look_up_nibbles<Iq4Values>(load_word<kAlign>(block + 2 + 4 * t), words[0], words[1]);
    }
    MEMBER float factor(const uint8_t * block) {
        return simt::half_to_float(simt::load<uint16_t>(block));
    }
};

struct MXFP4 : SmallBlock {
    static constexpr int kType = 39, kBlockBytes = 17, kAlign = 1;
    static constexpr Order kOrder = Order::kNibble;
    MEMBER void codes(const uint8_t * block, int t, uint32_t (&words)[2]) {
        look_up_nibbles<Fp4Values>(load_word<kAlign>(block + 1 + 4 * t), words[0], words[1]);
    }
    // The table holds doubled values, so this is half of 2^(e - 127). The two smallest exponents
    // give denormal floats.
    MEMBER float factor(const uint8_t * block) {
        const uint32_t exponent = simt::load<uint8_t>(block);
        return simt::bits_to_float(exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23);
    }
};

}  // namespace moe
