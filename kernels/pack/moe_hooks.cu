#include "moe_hooks.cuh"

#include "moe_match.h"
#include "moe_tiles.cuh"

#include <atomic>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace {

std::atomic<const moe_kernels *> kernels_in_use{nullptr};
std::atomic<uint64_t> times_set{0};

moe_device describe_device(int index, void * stream) {
    const auto & info = ggml_cuda_info().devices[index];
    moe_device device = {};
    device.struct_bytes = sizeof(moe_device);
    device.index = info.physical_device;
    device.compute = info.cc;
    device.processors = info.nsm;
    device.shared_bytes = int32_t(info.smpbo);
    device.stream = stream;
    return device;
}

bool is_enabled(const moe_kernels & kernels, const char * name) {
    for (int32_t i = 0; i < kernels.kernel_count(); ++i) {
        if (std::strcmp(kernels.kernel_name(i), name) == 0) {
            return kernels.kernel_enabled(i) != 0;
        }
    }
    return false;
}

bool tiles_take(const moe_kernels & kernels, const moe_op & op, const moe_device & device) {
    return is_enabled(kernels, "plan") && freehold::tiles_refuse(op, device) == nullptr;
}

// A failed launch leaves nothing written that the stock path could not write again.
bool run(const moe_kernels & kernels, const moe_op & op, ggml_backend_cuda_context & context) {
    const moe_device device = describe_device(context.device, context.stream());
    if (kernels.supports(&op, &device) != nullptr) {
        return tiles_take(kernels, op, device) && freehold::run_tiles(kernels, op, device, context);
    }
    const size_t bytes = kernels.scratch_bytes(&op, &device);
    ggml_cuda_pool_alloc<char> scratch(context.pool(), bytes + 256);
    void * aligned = reinterpret_cast<void *>((reinterpret_cast<uintptr_t>(scratch.get()) + 255) & ~uintptr_t(255));
    if (kernels.run(&op, &device, aligned, bytes) == 0) {
        return true;
    }
    GGML_LOG_WARN("%s: an expert kernel did not start: %s\n", __func__, kernels.last_error());
    return false;
}

int try_router(const moe_kernels & kernels, ggml_backend_cuda_context & context, ggml_cgraph * graph, int first,
               freehold_ranges_check ranges_are_free) {
    freehold::RouterMatch match;
    if (!freehold::match_router(graph, first, match)) {
        return 0;
    }
    int outputs[2] = {first, first + match.nodes - 1};
    while (graph->nodes[outputs[0]] != match.ids) {
        ++outputs[0];
    }
    const moe_device device = describe_device(context.device, context.stream());
    if (kernels.router_supports(&match.router, &device) != nullptr ||
        !ranges_are_free(graph, first, match.nodes, outputs, 2, false)) {
        return 0;
    }
    return kernels.run_router(&match.router, &device) == 0 ? match.nodes - 1 : 0;
}

bool begins_router(const ggml_tensor * node) {
    return node->op == GGML_OP_UNARY || node->op == GGML_OP_SOFT_MAX;
}

void keep(const std::vector<const ggml_tensor *> & inputs, ggml_tensor * until,
          ggml_backend_graph_optimize_params * params) {
    for (const ggml_tensor * input : inputs) {
        params->add_alloc_dep(params->user_data, const_cast<ggml_tensor *>(input), until);
    }
}

}  // namespace

int freehold_moe_try_fuse(ggml_backend_cuda_context & context, ggml_cgraph * graph, int first,
                          freehold_ranges_check ranges_are_free) {
    const moe_kernels * kernels = kernels_in_use.load(std::memory_order_acquire);
    if (kernels == nullptr) {
        return 0;
    }
    if (begins_router(graph->nodes[first])) {
        return try_router(*kernels, context, graph, first, ranges_are_free);
    }
    for (const freehold::MoeMatch & match : freehold::match_moe(graph, first)) {
        const int last = first + match.nodes - 1;
        if (match.nodes > 1 && ranges_are_free(graph, first, match.nodes, &last, 1, false) &&
            run(*kernels, match.op, context)) {
            return match.nodes - 1;
        }
    }
    return 0;
}

bool freehold_moe_product(ggml_backend_cuda_context & context, ggml_tensor * product) {
    const moe_kernels * kernels = kernels_in_use.load(std::memory_order_acquire);
    freehold::MoeMatch match;
    return kernels != nullptr && freehold::describe_product(product, match) && run(*kernels, match.op, context);
}

bool freehold_moe_takes(const ggml_tensor * product) {
    const moe_kernels * kernels = kernels_in_use.load(std::memory_order_acquire);
    freehold::MoeMatch match;
    if (kernels == nullptr || !freehold::describe_product(const_cast<ggml_tensor *>(product), match)) {
        return false;
    }
    const moe_device device = describe_device(ggml_cuda_get_device(), nullptr);
    return kernels->supports(&match.op, &device) == nullptr || tiles_take(*kernels, match.op, device);
}

void freehold_moe_keep_inputs(ggml_cgraph * graph, ggml_backend_graph_optimize_params * params) {
    if (kernels_in_use.load(std::memory_order_acquire) == nullptr) {
        return;
    }
    for (int i = 0; i < graph->n_nodes; ++i) {
        freehold::RouterMatch router;
        if (begins_router(graph->nodes[i]) && freehold::match_router(graph, i, router)) {
            keep(router.inputs, router.weights, params);
            keep({router.ids}, router.weights, params);
            continue;
        }
        const std::vector<freehold::MoeMatch> found = freehold::match_moe(graph, i);
        if (!found.empty() && found.front().nodes > 1) {
            keep(found.front().inputs, found.front().out, params);
        }
    }
}

bool freehold_moe_changed(const void * cuda_graph) {
    static std::mutex mutex;
    static std::unordered_map<const void *, uint64_t> seen;
    const moe_kernels * kernels = kernels_in_use.load(std::memory_order_acquire);
    // Both only count up, so their sum changes whenever one of them does.
    const uint64_t now = times_set.load() + (kernels != nullptr ? kernels->generation() : 0);
    std::lock_guard<std::mutex> lock(mutex);
    uint64_t & last = seen.try_emplace(cuda_graph, now).first->second;
    const bool changed = last != now;
    last = now;
    return changed;
}

extern "C" int freehold_moe_set_kernels(const moe_kernels * kernels) {
    const bool fits = kernels == nullptr ||
                      (kernels->abi_version == MOE_ABI_VERSION && kernels->struct_bytes >= sizeof(moe_kernels));
    if (!fits) {
        return -1;
    }
    kernels_in_use.store(kernels, std::memory_order_release);
    // A step larger than any count of switches keeps sums apart.
    times_set.fetch_add(uint64_t(1) << 32);
    return 0;
}
