// Builds the part of a llama.cpp graph that computes experts, as its build_moe_ffn puts it down.
#pragma once

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

struct Layer {
    int64_t hidden = 64, inner = 32, experts = 16, slots = 4, tokens = 3;
    ggml_type gate_type = GGML_TYPE_Q8_0, down_type = GGML_TYPE_Q8_0;
    std::string activation = "swiglu";  // swiglu, oai, geglu, clamp
    bool biases = false;
    bool merged = false;  // gate and up in one tensor
    bool softmax = false;
    bool choosing_bias = true;
    int64_t groups = 1, groups_used = 1;
    bool normalise = true;
    float scale = 2.5f;
    bool keep_hidden_alive = false;  // something else reads the activation
};

// The tensors of a built layer. The context holds their data.
struct Built {
    ggml_context * context = nullptr;
    ggml_cgraph * graph = nullptr;
    ggml_tensor * x = nullptr;
    ggml_tensor * ids = nullptr;
    ggml_tensor * weights = nullptr;
    ggml_tensor * activation = nullptr;
    ggml_tensor * out = nullptr;

    ~Built() { ggml_free(context); }
};

class LayerBuilder {
  public:
    static constexpr size_t MEMORY_BYTES = size_t(96) << 20;

    // memory: MEMORY_BYTES that the tensors live in; null: ggml takes its own.
    explicit LayerBuilder(const Layer & layer, void * memory = nullptr) : layer_(layer), memory_(memory) {}

    void build(Built & built) {
        ggml_init_params params = {MEMORY_BYTES, memory_, false};
        built.context = context_ = ggml_init(params);
        built.graph = graph_ = ggml_new_graph(context_);
        built.x = values(GGML_TYPE_F32, layer_.hidden, layer_.tokens);
        ggml_tensor * logits = values(GGML_TYPE_F32, layer_.experts, layer_.tokens);
        route(built, logits);
        ggml_build_forward_expand(graph_, built.weights);
        feed_forward(built);
        if (layer_.keep_hidden_alive) {
            ggml_build_forward_expand(graph_, ggml_neg(context_, built.activation));
        }
    }

  private:
    ggml_tensor * values(ggml_type type, int64_t a, int64_t b = 1, int64_t c = 1) {
        ggml_tensor * tensor = ggml_new_tensor_3d(context_, type, a, b, c);
        std::normal_distribution<float> normal(0.0f, 1.0f);
        std::vector<float> data(size_t(ggml_nelements(tensor)));
        for (float & value : data) {
            value = normal(random_);
        }
        const std::vector<float> importance(size_t(a), 1.0f);
        if (type == GGML_TYPE_F32) {
            std::copy(data.begin(), data.end(), static_cast<float *>(tensor->data));
        } else {
            ggml_quantize_chunk(type, data.data(), tensor->data, 0, b * c, a, importance.data());
        }
        return tensor;
    }

    ggml_tensor * choose(ggml_tensor * scores) {
        if (layer_.groups > 1) {
            const int64_t each = layer_.experts / layer_.groups;
            ggml_tensor * groups = ggml_reshape_3d(context_, scores, each, layer_.groups, layer_.tokens);
            ggml_tensor * best = ggml_argsort_top_k(context_, groups, 2);
            best = ggml_get_rows(context_, ggml_reshape_4d(context_, groups, 1, groups->ne[0], groups->ne[1], groups->ne[2]), best);
            best = ggml_sum_rows(context_, ggml_reshape_3d(context_, best, best->ne[1], best->ne[2], best->ne[3]));
            best = ggml_reshape_2d(context_, best, best->ne[1], best->ne[2]);
            ggml_tensor * chosen = ggml_argsort_top_k(context_, best, int(layer_.groups_used));
            scores = ggml_get_rows(context_, groups, chosen);
            scores = ggml_set_rows(context_, ggml_fill(context_, groups, -INFINITY), scores, chosen);
            scores = ggml_reshape_2d(context_, scores, layer_.experts, layer_.tokens);
        }
        return ggml_argsort_top_k(context_, scores, int(layer_.slots));
    }

    void route(Built & built, ggml_tensor * logits) {
        ggml_tensor * probs = layer_.softmax ? ggml_soft_max(context_, logits) : ggml_sigmoid(context_, logits);
        ggml_tensor * deciding = probs;
        if (layer_.choosing_bias) {
            deciding = ggml_add(context_, probs, values(GGML_TYPE_F32, layer_.experts));
        }
        built.ids = choose(deciding);
        probs = ggml_reshape_3d(context_, probs, 1, layer_.experts, layer_.tokens);
        ggml_tensor * weights = ggml_get_rows(context_, probs, built.ids);
        if (layer_.normalise) {
            weights = ggml_reshape_2d(context_, weights, layer_.slots, layer_.tokens);
            ggml_tensor * sum = ggml_clamp(context_, ggml_sum_rows(context_, weights), 6.103515625e-5f, INFINITY);
            weights = ggml_div(context_, weights, sum);
            weights = ggml_reshape_3d(context_, weights, 1, layer_.slots, layer_.tokens);
        }
        if (layer_.scale != 1.0f) {
            weights = ggml_scale(context_, weights, layer_.scale);
        }
        built.weights = weights;
    }

    ggml_tensor * product(ggml_tensor * matrix, ggml_tensor * x, ggml_tensor * ids) {
        ggml_tensor * out = ggml_mul_mat_id(context_, matrix, x, ids);
        if (layer_.biases) {
            out = ggml_add_id(context_, out, values(GGML_TYPE_F32, matrix->ne[1], matrix->ne[2]), ids);
        }
        return out;
    }

    ggml_tensor * activate(ggml_tensor * gate, ggml_tensor * up) {
        if (layer_.activation == "oai") {
            return ggml_swiglu_oai(context_, gate, up, 1.702f, 7.0f);
        }
        if (layer_.activation == "clamp") {
            return ggml_swiglu_clamp(context_, gate, up, 2.0f);
        }
        return layer_.activation == "geglu" ? ggml_geglu_split(context_, gate, up)
                                            : ggml_swiglu_split(context_, gate, up);
    }

    void feed_forward(Built & built) {
        ggml_tensor * x = ggml_reshape_3d(context_, built.x, layer_.hidden, 1, layer_.tokens);
        ggml_tensor * gate = nullptr;
        ggml_tensor * up = nullptr;
        if (layer_.merged) {
            ggml_tensor * both = ggml_mul_mat_id(
                context_, values(layer_.gate_type, layer_.hidden, 2 * layer_.inner, layer_.experts), x, built.ids);
            gate = ggml_view_3d(context_, both, layer_.inner, both->ne[1], both->ne[2], both->nb[1], both->nb[2], 0);
            up = ggml_view_3d(context_, both, layer_.inner, both->ne[1], both->ne[2], both->nb[1], both->nb[2],
                              layer_.inner * both->nb[0]);
        } else {
            up = product(values(layer_.gate_type, layer_.hidden, layer_.inner, layer_.experts), x, built.ids);
            gate = product(values(layer_.gate_type, layer_.hidden, layer_.inner, layer_.experts), x, built.ids);
        }
        built.activation = activate(gate, up);
        ggml_tensor * experts =
            product(values(layer_.down_type, layer_.inner, layer_.hidden, layer_.experts), built.activation, built.ids);
        experts = ggml_mul(context_, experts, built.weights);
        ggml_build_forward_expand(graph_, experts);
        std::vector<ggml_tensor *> slots;
        for (int64_t slot = 0; slot < layer_.slots; ++slot) {
            slots.push_back(ggml_view_2d(context_, experts, layer_.hidden, layer_.tokens, experts->nb[2], slot * experts->nb[1]));
            ggml_build_forward_expand(graph_, slots.back());
        }
        built.out = slots[0];
        for (int64_t slot = 1; slot < layer_.slots; ++slot) {
            built.out = ggml_add(context_, built.out, slots[slot]);
            ggml_build_forward_expand(graph_, built.out);
        }
    }

    Layer layer_;
    void * memory_;
    std::mt19937 random_{1};
    ggml_context * context_ = nullptr;
    ggml_cgraph * graph_ = nullptr;
};
