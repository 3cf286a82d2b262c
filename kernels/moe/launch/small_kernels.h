// Launchers of the kernels that do not depend on a weight type.
#pragma once

#include "../device/prepare.h"
#include "../device/weighted_sum.h"

namespace moe {

int launch_plan(const moe_device & device, const PlanArgs & args);
int launch_prepare(const moe_device & device, const PlanArgs & plan, const QuantiseArgs & quantise);
int launch_quantise(const moe_device & device, const QuantiseArgs & args);
int launch_weighted_sum(const moe_device & device, const WeightedSumArgs & args);

}  // namespace moe
