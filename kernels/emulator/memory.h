// Memory the emulated device owns: stacks of fibers and buffers of tests, each with a page behind
// it that faults, and the way from such a fault to a sentence.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace emulator {

// Stacks of lanes; kept between launches.
class Stacks {
  public:
    static constexpr size_t kBytes = 64 * 1024;
    void * get(size_t index);
    ~Stacks();

  private:
    std::vector<void *> stacks_;
};

// Whether [from, from + bytes) lies in one buffer of `allocate`.
bool is_allocated(const void * from, size_t bytes);
std::string describe_address(const void * address);

// While it lives, a memory fault jumps to `target` with `fault_address` set.
class FaultTrap {
  public:
    FaultTrap();
    ~FaultTrap();
    FaultTrap(const FaultTrap &) = delete;
    FaultTrap & operator=(const FaultTrap &) = delete;
    sigjmp_buf target;
    void * fault_address = nullptr;
};

}  // namespace emulator
