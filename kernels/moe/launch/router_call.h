// The router on the host's side.
#pragma once

#include "../include/moe_kernels.h"

namespace moe {

const char * why_not_router(const moe_router & router, const moe_device & device);
int run_router(const moe_router & router, const moe_device & device);

}  // namespace moe
