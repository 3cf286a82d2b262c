// What must happen before a layer's weights are streamed, in one launch: the first block makes the
// plan, all others quantise the activations.
#pragma once

#include "plan.h"
#include "quantise.h"

namespace moe {

KERNEL(kPlanThreads, 1) prepare(PlanArgs plan, QuantiseArgs quantise) {
    SHARED_MEMORY(memory);
    simt::begin_after_previous();
    if (simt::block_index() == 0) {
        make_plan(plan, reinterpret_cast<int *>(memory));
        return;
    }
    const int warps = (simt::grid_size() - 1) * kPlanWarps;
    const int mine = (simt::block_index() - 1) * kPlanWarps + simt::warp_index();
    quantise_share(quantise, mine, warps);
}

}  // namespace moe
