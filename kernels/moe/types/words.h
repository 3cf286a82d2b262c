// Loads from shared memory whatever the alignment of a block, and small tricks on four bytes.
#pragma once

#include "../simt/simt.h"

namespace moe {

// Four bytes at `from`, which is a multiple of kAlign bytes from a 4-byte boundary.
template <int kAlign> DEVICE uint32_t load_word(const uint8_t * from) {
    if constexpr (kAlign >= 4) {
        return simt::load<uint32_t>(from);
    } else {
        const uint32_t low = simt::load<uint16_t>(from), high = simt::load<uint16_t>(from + 2);
        return low | (high << 16);
    }
}

// Four bytes `at` bytes behind the 4-byte boundary `aligned`, at any alignment: two whole words and
// a shift cost less than four bytes one by one. The second word may lie behind the block; the ring
// keeps that readable.
DEVICE uint32_t load_word_at(const uint8_t * aligned, int at) {
    const uint8_t * from = aligned + (at & ~3);
    return simt::funnel_right(simt::load<uint32_t>(from), simt::load<uint32_t>(from + 4), 8 * at);
}

// One byte of a word as a number: a single instruction for an index the compiler knows.
DEVICE int byte_of(uint32_t word, int index) {
    return static_cast<int>(simt::pick_bytes(word, 0, 0x4440 | index));
}
DEVICE int signed_byte_of(uint32_t word, int index) {
    return static_cast<int>(simt::pick_bytes(word, 0, 0x8880 | (0x1110 * index) | index));
}

// Takes `less` (repeated in each byte) from bytes of 0 … 127 without a borrow between them.
DEVICE uint32_t subtract_bytes(uint32_t bytes, uint32_t less) {
    return ((bytes | 0x80808080u) - less) ^ 0x80808080u;
}

// Eight nibbles q3 q2 … as indices into a table of 16 signed bytes. The result keeps the order of
// the nibbles: byte i of `low` belongs to nibble i, of `high` to nibble i + 4.
template <class Table>
DEVICE void look_up_nibbles(uint32_t nibbles, uint32_t & low, uint32_t & high) {
    const uint32_t index = nibbles & 0x77777777u;
    // Where the top bit of a nibble is set, the byte comes from the upper half of the table.
    const uint32_t half = ((nibbles >> 1) & 0x44444444u) | 0x32103210u;
    low = simt::pick_bytes(simt::pick_bytes(Table::k0, Table::k1, index),
                           simt::pick_bytes(Table::k2, Table::k3, index), half);
    high = simt::pick_bytes(simt::pick_bytes(Table::k0, Table::k1, index >> 16),
                            simt::pick_bytes(Table::k2, Table::k3, index >> 16), half >> 16);
}

}  // namespace moe
