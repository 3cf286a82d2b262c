#include "router_call.h"

#include "../device/router.h"
#include "launch.h"
#include "switches.h"

namespace moe {

const char * why_not_router(const moe_router & router, const moe_device & device) {
    if (router.struct_bytes != sizeof(moe_router) || device.struct_bytes != sizeof(moe_device)) {
        return "the caller was built against another version of these kernels";
    }
    if (device.compute < 800) return "the GPU is older than Ampere (compute capability 8.0)";
    if (!is_enabled(Kernel::kRouter)) return "the kernel is switched off";
    if (router.experts < 1 || router.experts > kMostRouted) return "there are more than 576 experts";
    if (router.slots < 1 || router.slots > kMostRoutedSlots) {
        return "there are more than 32 experts per token";
    }
    if (router.ids_stride < router.slots) return "the expert numbers overlap";
    if (router.scoring < MOE_SOFTMAX || router.scoring > MOE_SOFTMAX_CHOSEN) {
        return "there is no kernel for this way of scoring";
    }
    const int groups = router.groups > 1 ? router.groups : 1;
    if (groups > kMostGroups || router.experts % groups != 0) {
        return "the experts do not divide into these groups";
    }
    const int used = groups > 1 ? router.groups_used : 1;
    if (used < 1 || used > groups) return "there is no such number of groups to keep";
    if (groups > 1 && router.experts / groups < 2) return "a group has fewer than two experts";
    if (router.slots > router.experts / groups * used) return "fewer experts than slots remain";
    return nullptr;
}

int run_router(const moe_router & router, const moe_device & device) {
    last_error().clear();
    if (const char * reason = why_not_router(router, device)) {
        last_error() = reason;
        return 1;
    }
    if (router.tokens <= 0) return 0;
    const int warps = kRouterThreads / simt::kWarp, grid = (router.tokens + warps - 1) / warps;
    const auto call = [&](void (*kernel)(moe_router)) {
        return launch(device, "router", kernel, grid, kRouterThreads, 0, false, router);
    };
    if (router.experts <= 128) return call(route<4>);
    if (router.experts <= 256) return call(route<8>);
    if (router.experts <= 384) return call(route<12>);
    return call(route<18>);
}

}  // namespace moe
