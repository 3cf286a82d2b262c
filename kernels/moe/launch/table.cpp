#include "../include/moe_kernels.h"

#include "launch.h"
#include "operations.h"
#include "router_call.h"
#include "small_kernels.h"
#include "support.h"
#include "switches.h"

#ifndef MOE_BUILD
#define MOE_BUILD "unknown"
#endif

namespace moe {

std::string & last_error() {
    static thread_local std::string text;
    return text;
}

namespace {

constexpr const char * kVersion = "1.0.0";

moe_plan plan_layout(void * scratch, int32_t tokens, int32_t slots, int32_t experts,
                     int32_t with_shared, int32_t width) {
    Scratch pieces(scratch);
    return lay_out_plan(pieces, tokens, slots, experts, with_shared != 0, width);
}

int run_plan(const moe_plan * plan, const int32_t * ids, int64_t ids_stride, int32_t tokens,
             int32_t slots, int32_t experts, int32_t with_shared, int32_t width,
             const moe_device * device) {
    last_error().clear();
    if (tokens < 0 || slots <= 0 || experts <= 0 || experts > kMostExperts || width <= 0) {
        last_error() = "there is no plan for such a routing";
        return 1;
    }
    PlanArgs args = {ids, ids_stride, tokens, slots, experts, with_shared, width, *plan, nullptr, 0};
    return launch_plan(*device, args);
}

const moe_kernels kTable = {
    MOE_ABI_VERSION,
    sizeof(moe_kernels),
    kVersion,
    MOE_BUILD,
    [](const moe_op * op, const moe_device * device) { return why_not(*op, *device); },
    [](const moe_op * op, const moe_device * device) { return scratch_bytes(*op, *device); },
    [](const moe_op * op, const moe_device * device, void * scratch, size_t bytes) {
        return run(*op, *device, scratch, bytes);
    },
    [](const moe_router * router, const moe_device * device) {
        return why_not_router(*router, *device);
    },
    [](const moe_router * router, const moe_device * device) {
        return run_router(*router, *device);
    },
    plan_layout,
    run_plan,
    set_enabled,
    generation,
    [] { return static_cast<int32_t>(kKernels); },
    [](int32_t index) { return kernel_name(index); },
    [](int32_t index) {
        return static_cast<int32_t>(index >= 0 && index < kKernels &&
                                    is_enabled(static_cast<Kernel>(index)));
    },
    [] { return last_error().c_str(); },
};

}  // namespace
}  // namespace moe

extern "C" const moe_kernels * moe_kernels_get(uint32_t abi_version) {
    if (abi_version != MOE_ABI_VERSION) return nullptr;
    moe::read_environment_once();
    return &moe::kTable;
}
