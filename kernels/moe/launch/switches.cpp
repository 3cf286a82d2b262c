#include "switches.h"

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <algorithm>
#include <string>

namespace moe {
namespace {

constexpr const char * kNames[kKernels] = {"stream", "feed_forward", "router", "plan"};
constexpr uint32_t kAll = (1u << kKernels) - 1;

std::atomic<uint32_t> enabled{kAll};
std::atomic<uint64_t> changes{0};

// The bits of a list; false if it names what does not exist.
bool parse(const std::string & list, uint32_t & bits) {
    bits = list == "1" ? kAll : 0;
    if (list == "0" || list == "1") return true;
    size_t begin = 0;
    while (begin <= list.size()) {
        const size_t end = std::min(list.find(',', begin), list.size());
        const std::string name = list.substr(begin, end - begin);
        int found = -1;
        for (int i = 0; i < kKernels; i++) found = name == kNames[i] ? i : found;
        if (found < 0) return false;
        bits |= 1u << found;
        begin = end + 1;
    }
    return true;
}

}  // namespace

const char * kernel_name(int index) {
    return index >= 0 && index < kKernels ? kNames[index] : nullptr;
}

bool is_enabled(Kernel kernel) { return enabled.load() >> static_cast<int>(kernel) & 1; }

int set_enabled(const char * list) {
    uint32_t bits = 0;
    if (list == nullptr || !parse(list, bits)) return -1;
    if (enabled.exchange(bits) != bits) changes++;
    return 0;
}

uint64_t generation() { return changes.load(); }

void read_environment_once() {
    static std::once_flag once;
    std::call_once(once, [] {
        const char * list = std::getenv("FREEHOLD_MOE");
        // A list nobody can read turns everything off: the stock kernels always work.
        if (list != nullptr && set_enabled(list) != 0) set_enabled("0");
    });
}

}  // namespace moe
