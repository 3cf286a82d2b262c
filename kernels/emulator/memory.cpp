#include "memory.h"

#include <signal.h>
#include <sys/mman.h>

#include <cstring>
#include <map>

#include "machine.h"

namespace emulator {
namespace {

constexpr size_t kPage = 4096;

struct Buffer {
    uint8_t * mapping;
    size_t mapped, bytes;
};
std::map<const uint8_t *, Buffer> buffers;  // by first byte

uint8_t * map_guarded(size_t bytes) {  // the last page of the mapping faults
    void * memory = mmap(nullptr, bytes + kPage, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    mprotect(static_cast<uint8_t *>(memory) + bytes, kPage, PROT_NONE);
    return static_cast<uint8_t *>(memory);
}

FaultTrap * trap = nullptr;
struct sigaction before_segv, before_bus;
uint8_t signal_stack[64 * 1024];
stack_t stack_before;

void on_fault(int, siginfo_t * info, void *) {
    trap->fault_address = info->si_addr;
    siglongjmp(trap->target, 1);
}

}  // namespace

void * allocate(size_t bytes) {
    // The end touches the guard page as closely as an alignment of 128 bytes lets it; what is left
    // over is filled with a pattern that is NaN as a float.
    const size_t room = (bytes + 127) / 128 * 128;
    const size_t mapped = (room + kPage - 1) / kPage * kPage;
    uint8_t * mapping = map_guarded(mapped);
    if (mapping == nullptr) return nullptr;
    uint8_t * first = mapping + mapped - room;
    memset(mapping, 0xff, mapped);
    buffers[first] = {mapping, mapped + kPage, bytes};
    return first;
}

void release(void * memory) {
    const auto found = buffers.find(static_cast<uint8_t *>(memory));
    if (found == buffers.end()) return;
    munmap(found->second.mapping, found->second.mapped);
    buffers.erase(found);
}

bool is_allocated(const void * from, size_t bytes) {
    const auto * byte = static_cast<const uint8_t *>(from);
    auto after = buffers.upper_bound(byte);
    if (after == buffers.begin()) return false;
    const auto & [first, buffer] = *--after;
    return byte + bytes <= first + buffer.bytes;
}

std::string describe_address(const void * address) {
    const auto * byte = static_cast<const uint8_t *>(address);
    auto after = buffers.upper_bound(byte);
    if (after == buffers.begin()) return "an address of no buffer";
    const auto & [first, buffer] = *--after;
    const auto offset = static_cast<size_t>(byte - first);
    if (offset > buffer.bytes + (1u << 30)) return "an address of no buffer";
    return "byte " + std::to_string(offset) + " of a buffer of " + std::to_string(buffer.bytes);
}

void * Stacks::get(size_t index) {
    while (stacks_.size() <= index) {
        // A stack grows down, so the page that faults must lie below it.
        void * memory = mmap(nullptr, kBytes + kPage, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) fail("no memory for the stacks of lanes");
        mprotect(memory, kPage, PROT_NONE);
        stacks_.push_back(static_cast<uint8_t *>(memory) + kPage);
    }
    return stacks_[index];
}

Stacks::~Stacks() {
    for (void * stack : stacks_) munmap(static_cast<uint8_t *>(stack) - kPage, kBytes + kPage);
}

FaultTrap::FaultTrap() {
    trap = this;
    stack_t stack = {};
    stack.ss_sp = signal_stack;
    stack.ss_size = sizeof signal_stack;
    sigaltstack(&stack, &stack_before);
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &action, &before_segv);
    sigaction(SIGBUS, &action, &before_bus);
}

FaultTrap::~FaultTrap() {
    sigaction(SIGSEGV, &before_segv, nullptr);
    sigaction(SIGBUS, &before_bus, nullptr);
    sigaltstack(&stack_before, nullptr);
    trap = nullptr;
}

}  // namespace emulator
