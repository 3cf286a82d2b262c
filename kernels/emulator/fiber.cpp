#include "fiber.h"

#include <cstdint>

namespace emulator {

#if defined(__x86_64__)

// Saves what the calling convention says a callee must keep, and swaps stacks.
extern "C" void freehold_swap_stacks(void ** save, void * load);
asm(".text\n"
    ".globl freehold_swap_stacks\n"
    ".type freehold_swap_stacks, @function\n"
    "freehold_swap_stacks:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n"
    ".size freehold_swap_stacks, .-freehold_swap_stacks\n");

void Fiber::prepare(void * bottom, size_t bytes, void (*entry)()) {
    auto top = (reinterpret_cast<uintptr_t>(bottom) + bytes) & ~static_cast<uintptr_t>(15);
    auto * place = reinterpret_cast<void **>(top);
    *--place = nullptr;                           // where entry would return to
    *--place = reinterpret_cast<void *>(entry);   // popped by `ret`
    for (int i = 0; i < 6; i++) *--place = nullptr;
    inside_ = place;
}
void Fiber::enter() { freehold_swap_stacks(&outside_, inside_); }
void Fiber::leave() { freehold_swap_stacks(&inside_, outside_); }

#else

void Fiber::prepare(void * bottom, size_t bytes, void (*entry)()) {
    getcontext(&inside_);
    inside_.uc_stack.ss_sp = bottom;
    inside_.uc_stack.ss_size = bytes;
    inside_.uc_link = nullptr;
    makecontext(&inside_, entry, 0);
}
void Fiber::enter() { swapcontext(&outside_, &inside_); }
void Fiber::leave() { swapcontext(&inside_, &outside_); }

#endif

}  // namespace emulator
