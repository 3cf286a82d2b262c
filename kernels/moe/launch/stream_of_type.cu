// The stream kernels of one type. Compiled once per type with -DMOE_TYPE=Q4K and the like, so that
// a machine with many cores compiles them beside one another.
#include "../types/i_quants.h"
#include "../types/k_quants.h"
#include "../types/small_blocks.h"
#include "launch.h"
#include "type_row.h"

#define MOE_JOIN(a, b) a##b
#define MOE_ROW_OF(type) MOE_JOIN(type_row_, type)
#define MOE_QUOTE(text) #text
#define MOE_NAME_OF(type) MOE_QUOTE(type)

namespace moe {
namespace {

using Type = MOE_TYPE;

template <int kTiles>
int launch_stream(const moe_device & device, const StreamArgs & args, int grid) {
    const size_t shared = kBarrierBytes + table_bytes<kTiles>() +
                          static_cast<size_t>(args.shape.stages) * stage_bytes(args.shape);
    return launch(device, "stream", stream<Type, kTiles>, grid, kStreamThreads, shared, false, args);
}

}  // namespace

const TypeRow & MOE_ROW_OF(MOE_TYPE)() {
    static const TypeRow row = {
        Type::kType, MOE_NAME_OF(MOE_TYPE), Type::kBlockValues, Type::kBlockBytes,
        Type::kUnitValues, Type::kSpan, Type::kGroup, Type::kOrder,
        Type::kLower != Lower::kNothing, Type::kFold,
        {launch_stream<1>, launch_stream<2>, launch_stream<4>}};
    return row;
}

}  // namespace moe
