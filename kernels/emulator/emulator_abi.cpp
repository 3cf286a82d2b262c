// What a test may set and ask besides the ABI of the kernels themselves.
#include "machine.h"

#pragma GCC visibility push(default)
extern "C" {

void * emulator_allocate(size_t bytes) { return emulator::allocate(bytes); }
void emulator_release(void * memory) { emulator::release(memory); }
void emulator_seed(uint64_t seed) { emulator::settings.seed = seed; }
void emulator_reset_counts() { emulator::counts = {}; }
void emulator_counts(uint64_t * into) {
    const emulator::Counts & counts = emulator::counts;
    const uint64_t values[] = {counts.launches, counts.blocks, counts.copied_bytes, counts.copies,
                               counts.multiplications, counts.turns};
    for (int i = 0; i < 6; i++) into[i] = values[i];
}

}  // extern "C"
#pragma GCC visibility pop
