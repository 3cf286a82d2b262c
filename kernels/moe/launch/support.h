// Whether an operation can run here: reasons, from shapes and switches alone.
#pragma once

#include "../include/moe_kernels.h"

namespace moe {

// Null, or one plain sentence.
const char * why_not(const moe_op & op, const moe_device & device);

// Most tokens the kernels are meant for; beyond, the stock matrix code reads weights as seldom.
constexpr int kMostTokens = 4096;
constexpr int kMostExperts = 512;
constexpr int kMostSlots = 32;

}  // namespace moe
