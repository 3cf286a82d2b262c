// A fiber: a stack of its own and a saved stack pointer. Switching costs a few nanoseconds, which
// is why this is not ucontext where the processor is one we know.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulator {

class Fiber {
  public:
    // Makes ready to run `entry` on the stack that ends at `top`. `entry` must never return.
    void prepare(void * bottom, size_t bytes, void (*entry)());
    // Runs this fiber until it calls `leave`.
    void enter();
    // Goes back to whoever called `enter` last.
    void leave();

  private:
#if defined(__x86_64__)
    void * inside_ = nullptr;
    void * outside_ = nullptr;
#else
    ucontext_t inside_, outside_;
#endif
};

}  // namespace emulator
