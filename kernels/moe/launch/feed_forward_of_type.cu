// The feed-forward kernels whose gate and up are of one type. Compiled once per type with
// -DMOE_TYPE=Q4K and the like.
#include "../types/i_quants.h"
#include "../types/k_quants.h"
#include "../types/small_blocks.h"
#include "launch.h"
#include "type_row.h"

#define MOE_JOIN(a, b) a##b
#define MOE_FEED_FORWARD_OF(type) MOE_JOIN(feed_forward_, type)

namespace moe {
namespace {

// Types of down beside the same one, as llama.cpp mixes them. Other pairs run in several kernels.
template <class... Types> struct List {};
template <class Up> struct Downs { using All = List<Up>; };
template <> struct Downs<Q4K> { using All = List<Q4K, Q6K, Q5K>; };
template <> struct Downs<Q5K> { using All = List<Q5K, Q6K>; };
template <> struct Downs<Q3K> { using All = List<Q3K, Q4K, Q5K>; };
template <> struct Downs<Q2K> { using All = List<Q2K, Q3K>; };
template <> struct Downs<IQ2XXS> { using All = List<IQ2XXS, Q2K>; };
template <> struct Downs<IQ1S> { using All = List<IQ1S, IQ2XXS>; };
template <> struct Downs<IQ1M> { using All = List<IQ1M, IQ2XXS>; };

template <class Up, class Down>
int launch_feed_forward(const moe_device & device, const FeedForwardArgs & args) {
    const int grid = fused_blocks<Up, Down>(device.compute) * device.processors;
    const size_t shared = 2 * kBarrierBytes + table_bytes<1>() +
                          static_cast<size_t>(args.stages) * args.stage_bytes;
    return launch(device, "feed_forward", feed_forward<Up, Down>, grid, kStreamThreads, shared,
                  true, args);
}

template <class Up, class... Down> FeedForwardLauncher find(int type, List<Down...>) {
    FeedForwardLauncher found = nullptr;
    ((found = Down::kType == type ? &launch_feed_forward<Up, Down> : found), ...);
    return found;
}

}  // namespace

FeedForwardLauncher MOE_FEED_FORWARD_OF(MOE_TYPE)(int down_type) {
    return find<MOE_TYPE>(down_type, Downs<MOE_TYPE>::All());
}

}  // namespace moe
