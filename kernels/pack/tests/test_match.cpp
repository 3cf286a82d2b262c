// Checks that what the matcher finds in a graph is what the graph computes: ggml's CPU backend
// computes the whole graph, then each operation found is computed by itself from its description.
// With libmoe_emulated.so as argument the kernels compute it too, on the emulated GPU.
#include "expert_graph.h"
#include "moe_match.h"
#include "reference.h"

#include <cstdio>
#include <cstring>
#include <dlfcn.h>

namespace {

int failures = 0;
int emulated = 0;

// The emulated GPU, if there is one.
struct Emulator {
    const moe_kernels * kernels = nullptr;
    void * (*allocate)(size_t) = nullptr;
    void (*release)(void *) = nullptr;
    moe_device device = {sizeof(moe_device), 0, 900, 2, 227 * 1024, nullptr};

    void open(const char * path) {
        void * library = dlopen(path, RTLD_NOW);
        if (library == nullptr) {
            std::printf("%s\n", dlerror());
            return;
        }
        const auto get = reinterpret_cast<decltype(&moe_kernels_get)>(dlsym(library, "moe_kernels_get"));
        kernels = get(MOE_ABI_VERSION);
        allocate = reinterpret_cast<decltype(allocate)>(dlsym(library, "emulator_allocate"));
        release = reinterpret_cast<decltype(release)>(dlsym(library, "emulator_release"));
    }
} emulator;

// Memory of the emulated GPU for the tensors of one graph.
struct Memory {
    void * place = emulator.kernels ? emulator.allocate(LayerBuilder::MEMORY_BYTES) : nullptr;
    ~Memory() {
        if (place != nullptr) {
            emulator.release(place);
        }
    }
};

void expect(bool holds, const std::string & what) {
    if (!holds) {
        std::printf("FAILED %s\n", what.c_str());
        ++failures;
    }
}

std::vector<float> copy_of(const ggml_tensor * tensor) {
    const float * data = static_cast<const float *>(tensor->data);
    return std::vector<float>(data, data + ggml_nelements(tensor));
}

double error_between(const std::vector<float> & a, const std::vector<float> & b) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return difference / size;
}

int index_of(const ggml_cgraph * graph, ggml_op op, int from = 0) {
    for (int i = from; i < graph->n_nodes; ++i) {
        if (graph->nodes[i]->op == op) {
            return i;
        }
    }
    return -1;
}

// Lets the kernels compute what they support, and compares.
void check_emulated(const freehold::MoeMatch & match, const std::vector<float> & expected, const std::string & name) {
    if (emulator.kernels == nullptr || emulator.kernels->supports(&match.op, &emulator.device) != nullptr) {
        return;
    }
    ++emulated;
    const size_t bytes = emulator.kernels->scratch_bytes(&match.op, &emulator.device);
    void * scratch = emulator.allocate(bytes + 1);
    std::memset(match.out->data, 0, ggml_nbytes(match.out));
    const bool ran = emulator.kernels->run(&match.op, &emulator.device, scratch, bytes) == 0;
    expect(ran, name + ": " + emulator.kernels->last_error());
    const double error = error_between(copy_of(match.out), expected);
    expect(error < 5e-4, name + ": the kernels' error is " + std::to_string(error));
    emulator.release(scratch);
}

// Computes every operation found at node `first` and compares its result with the graph's.
void check_found(const Built & built, int first, const std::vector<int> & kinds, const std::string & name) {
    const std::vector<freehold::MoeMatch> found = freehold::match_moe(built.graph, first);
    expect(found.size() == kinds.size(), name + ": " + std::to_string(found.size()) + " operations found");
    for (size_t i = 0; i < found.size() && i < kinds.size(); ++i) {
        expect(found[i].op.kind == kinds[i], name + ": kind " + std::to_string(found[i].op.kind));
        const std::vector<float> before = copy_of(found[i].out);
        std::memset(found[i].out->data, 0, ggml_nbytes(found[i].out));
        compute(found[i].op);
        const double error = error_between(copy_of(found[i].out), before);
        expect(error < 5e-4, name + ": error " + std::to_string(error) + " of kind " + std::to_string(kinds[i]));
        check_emulated(found[i], before, name);
        std::copy(before.begin(), before.end(), static_cast<float *>(found[i].out->data));
    }
}

void check_router(const Built & built, const std::string & name) {
    freehold::RouterMatch match;
    expect(freehold::match_router(built.graph, 0, match), name + ": the router is not found");
    if (match.ids == nullptr || match.weights == nullptr) {
        return;
    }
    expect(match.ids == built.ids && match.weights == built.weights, name + ": other outputs");
    const std::vector<float> weights = copy_of(match.weights);
    std::vector<int32_t> ids;
    for (int token = 0; token < match.router.tokens; ++token) {
        for (int slot = 0; slot < match.router.slots; ++slot) {
            ids.push_back(match.router.ids[token * match.router.ids_stride + slot]);
            match.router.ids[token * match.router.ids_stride + slot] = -1;
        }
    }
    compute(match.router);
    size_t at = 0;
    for (int token = 0; token < match.router.tokens; ++token) {
        for (int slot = 0; slot < match.router.slots; ++slot) {
            expect(match.router.ids[token * match.router.ids_stride + slot] == ids[at++], name + ": other experts");
        }
    }
    expect(error_between(copy_of(match.weights), weights) < 1e-8, name + ": other weights");
    if (emulator.kernels != nullptr && emulator.kernels->router_supports(&match.router, &emulator.device) == nullptr) {
        ++emulated;
        std::memset(match.weights->data, 0, ggml_nbytes(match.weights));
        expect(emulator.kernels->run_router(&match.router, &emulator.device) == 0, name + ": the router does not run");
        expect(error_between(copy_of(match.weights), weights) < 1e-8, name + ": the kernel's other weights");
    }
}

void check(const Layer & layer, const std::string & name) {
    Memory memory;
    Built built;
    LayerBuilder(layer, memory.place).build(built);
    ggml_graph_compute_with_ctx(built.context, built.graph, 1);
    check_router(built, name);
    const int gate = index_of(built.graph, GGML_OP_MUL_MAT_ID);
    // A merged product with a bias has no description: one kernel per half could not add it.
    const std::vector<int> all = {MOE_FEED_FORWARD, MOE_GATE_UP, MOE_MATMUL};
    check_found(built, gate, layer.keep_hidden_alive ? std::vector<int>{MOE_GATE_UP, MOE_MATMUL} : all, name);
    const int down = index_of(built.graph, GGML_OP_MUL_MAT_ID, index_of(built.graph, GGML_OP_GLU));
    check_found(built, down, {MOE_DOWN_SUM, MOE_MATMUL}, name + ", from down");
}

void check_refusals() {
    Layer layer;
    Built built;
    LayerBuilder(layer).build(built);
    const int gate = index_of(built.graph, GGML_OP_MUL_MAT_ID);
    ggml_tensor * first = built.graph->nodes[gate];
    ggml_prec_set_acc(first, GGML_PREC_F32);
    expect(freehold::match_moe(built.graph, gate).empty(), "precision: asked for and still matched");
    first->op_params[0] = 0;
    first->src[0]->nb[1] += ggml_type_size(first->src[0]->type);
    expect(freehold::match_moe(built.graph, gate).empty(), "padded rows: matched");
    first->src[0]->nb[1] -= ggml_type_size(first->src[0]->type);
    expect(freehold::match_moe(built.graph, gate).size() == 3, "the same graph again: not matched");
    expect(freehold::match_moe(built.graph, gate - 1).empty(), "a node that is no product: matched");
}

}  // namespace

int main(int count, char ** arguments) {
    if (count > 1) {
        emulator.open(arguments[1]);
    }
    check({}, "plain");
    Layer layer;
    layer.slots = 8;
    layer.experts = 384;
    layer.tokens = 2;
    check(layer, "Kimi");
    layer.experts = 32;
    layer.groups = 8;
    layer.groups_used = 4;
    check(layer, "groups");
    layer = {};
    layer.biases = true;
    layer.activation = "oai";
    layer.softmax = true;
    layer.choosing_bias = false;
    check(layer, "gpt-oss");
    layer = {};
    layer.merged = true;
    layer.activation = "geglu";
    check(layer, "merged");
    layer = {};
    layer.activation = "clamp";
    layer.scale = 1.0f;
    layer.normalise = false;
    layer.tokens = 1;
    check(layer, "clamp");
    layer = {};
    layer.keep_hidden_alive = true;
    check(layer, "activation used elsewhere");
    layer = {};
    layer.hidden = 512;
    layer.inner = 256;
    layer.gate_type = GGML_TYPE_Q4_K;
    layer.down_type = GGML_TYPE_Q6_K;
    check(layer, "Q4_K and Q6_K");
    check_refusals();
    std::printf("%d operations by the kernels\n", emulated);
    std::printf(failures == 0 ? "all hold\n" : "%d failed\n", failures);
    return failures == 0 ? 0 : 1;
}
