// Which kernels are on: FREEHOLD_MOE at first, later `set_enabled`.
#pragma once

#include <stdint.h>

namespace moe {

enum class Kernel { kStream, kFeedForward, kRouter, kPlan };
constexpr int kKernels = 4;

const char * kernel_name(int index);
bool is_enabled(Kernel kernel);
// "0", "1" or names by comma. -1 and no change if a name is unknown.
int set_enabled(const char * list);
uint64_t generation();
void read_environment_once();

}  // namespace moe
