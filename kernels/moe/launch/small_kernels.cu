#include "small_kernels.h"

#include <algorithm>

#include "launch.h"

namespace moe {

int launch_plan(const moe_device & device, const PlanArgs & args) {
    return launch(device, "plan", plan_tiles, 1, kPlanThreads, plan_shared_bytes(args.experts),
                  false, args);
}

int launch_prepare(const moe_device & device, const PlanArgs & plan,
                   const QuantiseArgs & quantise) {
    const int warps = quantise.rows * quantise.columns.units;
    const int grid = 1 + std::clamp((warps + kPlanWarps - 1) / kPlanWarps, 1, 4 * device.processors);
    return launch(device, "prepare", prepare, grid, kPlanThreads, plan_shared_bytes(plan.experts),
                  false, plan, quantise);
}

int launch_quantise(const moe_device & device, const QuantiseArgs & args) {
    const int warps = args.rows * args.columns.units, per_block = kQuantiseThreads / simt::kWarp;
    const int grid = std::clamp((warps + per_block - 1) / per_block, 1, 8 * device.processors);
    return launch(device, "quantise", quantise_rows, grid, kQuantiseThreads, 0, false, args);
}

int launch_weighted_sum(const moe_device & device, const WeightedSumArgs & args) {
    const int64_t all = static_cast<int64_t>(args.tokens) * args.rows;
    const int64_t grid = std::min<int64_t>((all + kSumThreads - 1) / kSumThreads,
                                           8 * device.processors);
    return launch(device, "weighted_sum", weighted_sum, static_cast<int>(grid), kSumThreads, 0,
                  false, args);
}

}  // namespace moe
