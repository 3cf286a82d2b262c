// Sampling for all sequences of a decode step, with grammars.
//
// The order of things follows common/sampling.cpp: the chain samples freely, the grammar looks at
// the one token, and only if it refuses is the whole vocabulary filtered and sampled again.

#include "abi.h"
#include "common.h"
#include "reasoning-budget.h"
#include "trigger_window.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <memory>
#include <vector>

namespace {

struct sampler_deleter {
    void operator()(llama_sampler * sampler) const { llama_sampler_free(sampler); }
};

using sampler_ptr = std::unique_ptr<llama_sampler, sampler_deleter>;

std::vector<std::string> strings(const common_json & list) {
    std::vector<std::string> result;
    for (const auto & item : list) {
        result.push_back(item.get<std::string>());
    }
    return result;
}

}  // namespace

struct fh_sampler {
    const llama_vocab * vocab = nullptr;
    sampler_ptr         chain;
    sampler_ptr         grammar;
    sampler_ptr         thinking;  // only watches for the tags; its budget is endless

    bool           lazy    = false;
    bool           waiting = false;  // for a trigger in `window`, before the grammar is fed
    bool           dead    = false;  // the grammar refused what it was fed; nothing more fits
    trigger_window window;

    std::vector<llama_token_data> candidates;

    bool grammar_applies() const { return grammar && !waiting && outside_thought(); }

    bool outside_thought() const {
        if (!thinking) {
            return true;
        }
        const auto state = common_reasoning_budget_get_state(thinking.get());
        return state == REASONING_BUDGET_IDLE || state == REASONING_BUDGET_DONE;
    }

    void feed_grammar(llama_token token) {
        if (waiting) {
            if (!window.add(token, common_token_to_piece(vocab, token, true))) {
                return;
            }
            waiting = false;
            for (const auto & item : window.tokens()) {
                llama_sampler_accept(grammar.get(), item.first);
            }
            return;
        }
        llama_sampler_accept(grammar.get(), token);
    }

    // Feeds a lazy or strict grammar. What follows a trigger in the same token need not fit a lazy
    // one; then the answer goes on free.
    void feed_or_free(llama_token token) {
        try {
            feed_grammar(token);
        } catch (const std::exception &) {
            if (!lazy) {
                throw;
            }
            grammar.reset();
        }
    }

    void accept(llama_token token) {
        const bool feeds = grammar && outside_thought();
        if (thinking) {
            llama_sampler_accept(thinking.get(), token);
            const auto * end = common_reasoning_budget_get_end_match(thinking.get());
            if (lazy && !feeds && outside_thought() && end != nullptr) {
                for (size_t at = 0; grammar && at < end->size(); at++) {  // an end tag may hold a trigger
                    feed_or_free((*end)[at]);
                }
            }
        }
        if (feeds) {
            feed_or_free(token);
        }
        llama_sampler_accept(chain.get(), token);
    }
};

namespace {

// Token sequences of thinking tags, skipping a space some tokenizers put in front.
llama_tokens tokenize_tag(const llama_vocab * vocab, const std::string & text) {
    llama_tokens result;
    const auto   tokens = common_tokenize(vocab, text, false, true);
    for (size_t at = 0; at < tokens.size(); at++) {
        const std::string piece = common_token_to_piece(vocab, tokens[at], true);
        if (at == 0 && !piece.empty() && piece[0] == ' ' && text[0] != ' ') {
            continue;
        }
        result.push_back(tokens[at]);
    }
    return result;
}

void set_grammar(fh_sampler & sampler, const common_json & constraint) {
    const std::string gbnf = constraint.at("grammar").get<std::string>();
    const bool        lazy = constraint.at("lazy").get<bool>();

    for (const auto & trigger : constraint.at("triggers")) {
        sampler.window.watch(trigger.at("kind").get<std::string>(), trigger.at("value").get<std::string>());
    }
    sampler.lazy    = lazy;
    sampler.waiting = lazy;
    if (lazy) {
        std::vector<const char *> texts;
        for (const auto & pattern : sampler.window.patterns()) {
            texts.push_back(pattern.c_str());
        }
        sampler.grammar.reset(llama_sampler_init_grammar_lazy_patterns(
            sampler.vocab, gbnf.c_str(), "root", texts.data(), texts.size(), nullptr, 0));
    } else {
        sampler.grammar.reset(llama_sampler_init_grammar(sampler.vocab, gbnf.c_str(), "root"));
    }
    if (!sampler.grammar) {
        throw fh_error("invalid_grammar", "the grammar does not parse or is left-recursive");
    }
    const auto prefill = constraint.at("prefill").get<std::string>();
    if (!lazy && !prefill.empty()) {
        for (llama_token token : tokenize_tag(sampler.vocab, prefill)) {
            llama_sampler_accept(sampler.grammar.get(), token);
        }
    }
}

void set_thinking(fh_sampler & sampler, const common_json & constraint) {
    const auto start = constraint.at("thinking_start").get<std::string>();
    if (start.empty()) {
        return;
    }
    std::vector<llama_tokens> ends;
    for (const auto & end : strings(constraint.at("thinking_ends"))) {
        ends.push_back(tokenize_tag(sampler.vocab, end));
    }
    const auto start_tokens = tokenize_tag(sampler.vocab, start);
    if (start_tokens.empty() || ends.empty()) {
        return;
    }
    sampler.thinking.reset(
        common_reasoning_budget_init(sampler.vocab, { start_tokens }, ends, {}, INT_MAX));
    for (llama_token token : tokenize_tag(sampler.vocab, constraint.at("thinking_prefill").get<std::string>())) {
        llama_sampler_accept(sampler.thinking.get(), token);
    }
}

const float * logits_of(llama_context * context, int32_t index) {
    const float * logits = llama_get_logits_ith(context, index);
    if (logits == nullptr) {
        throw fh_error("internal", "no logits at index " + std::to_string(index));
    }
    return logits;
}

llama_token_data_array fill(fh_sampler & sampler, const float * logits) {
    const size_t count = static_cast<size_t>(llama_vocab_n_tokens(sampler.vocab));
    sampler.candidates.resize(count);
    llama_token_data * data = sampler.candidates.data();
    for (size_t token = 0; token < count; token++) {
        data[token] = { static_cast<llama_token>(token), logits[token], 0.0f };
    }
    return { data, count, -1, false };
}

llama_token pick(fh_sampler & sampler, llama_token_data_array & array) {
    llama_sampler_apply(sampler.chain.get(), &array);
    if (array.selected < 0 || static_cast<size_t>(array.selected) >= array.size) {
        throw fh_error("internal", "the sampler chain selects no token");
    }
    return array.data[array.selected].id;
}

bool fits(fh_sampler & sampler, llama_token token) {
    llama_token_data       one   = { token, 1.0f, 0.0f };
    llama_token_data_array array = { &one, 1, -1, false };
    llama_sampler_apply(sampler.grammar.get(), &array);
    return !std::isinf(one.logit);
}

// Samples and accepts one token; false if no token fits the grammar.
bool sample(fh_sampler & sampler, const float * logits, llama_token & token) {
    if (sampler.dead) {
        return false;
    }
    auto array = fill(sampler, logits);
    token      = pick(sampler, array);
    if (sampler.grammar_applies() && !fits(sampler, token)) {
        array = fill(sampler, logits);
        llama_sampler_apply(sampler.grammar.get(), &array);
        token = pick(sampler, array);
        // Accepting a token the grammar refuses throws, and an end token aborts the process.
        if (!fits(sampler, token)) {
            return false;
        }
    }
    sampler.accept(token);
    return true;
}

}  // namespace

int fh_sampler_new(const llama_model * model, llama_sampler * chain, const char * constraint,
                   fh_sampler ** sampler, char ** error) {
    sampler_ptr owned(chain);
    return fh_guard("invalid_grammar", error, [&] {
        auto created   = std::make_unique<fh_sampler>();
        created->vocab = llama_model_get_vocab(model);
        created->chain = std::move(owned);
        if (constraint != nullptr && constraint[0] != '\0') {
            const auto parsed = common_json::parse(constraint);
            set_grammar(*created, parsed);
            set_thinking(*created, parsed);
        }
        *sampler = created.release();
    });
}

void fh_sampler_free(fh_sampler * sampler) {
    delete sampler;
}

int fh_sampler_accept(fh_sampler * sampler, int32_t token, char ** error) {
    return fh_guard("internal", error, [&] { llama_sampler_accept(sampler->chain.get(), token); });
}

int fh_sample_step(llama_context * context, int32_t n, fh_sampler * const * samplers,
                   const int32_t * logit_indices, int32_t * tokens, int32_t * flags, int32_t * ends,
                   char * pieces, int32_t pieces_size, char ** error) {
    return fh_guard("internal", error, [&] {
        int32_t used = 0;
        for (int32_t i = 0; i < n; i++) {
            fh_sampler & sampler = *samplers[i];
            llama_token  token   = LLAMA_TOKEN_NULL;
            bool         found   = false;
            const float * logits = logits_of(context, logit_indices[i]);
            try {
                found = sample(sampler, logits, token);
            } catch (const fh_error &) {
                throw;
            } catch (const std::exception &) {
                // One sequence's grammar ran off its rails; the others go on.
                sampler.dead = true;
            }
            if (!found) {
                flags[i] = FH_FLAG_DEAD_END;
                token    = LLAMA_TOKEN_NULL;
            } else if (llama_vocab_is_eog(sampler.vocab, token)) {
                flags[i] = FH_FLAG_END;
            } else {
                flags[i] = 0;
                const int32_t size = llama_token_to_piece(
                    sampler.vocab, token, pieces + used, pieces_size - used, 0, true);
                if (size < 0) {
                    throw fh_error("internal", "no room for the text of the tokens");
                }
                used += size;
            }
            tokens[i] = token;
            ends[i]   = used;
        }
    });
}

int fh_token_logprobs(llama_context * context, int32_t n, const int32_t * logit_indices,
                      const int32_t * tokens, int32_t top, float * logprobs, int32_t * top_tokens,
                      float * top_logprobs, char ** error) {
    return fh_guard("internal", error, [&] {
        const auto *  vocab = llama_model_get_vocab(llama_get_model(context));
        const int32_t count = llama_vocab_n_tokens(vocab);
        std::vector<int32_t> order(count);
        for (int32_t i = 0; i < n; i++) {
            const float * logits  = logits_of(context, logit_indices[i]);
            const float   highest = *std::max_element(logits, logits + count);
            double        sum     = 0.0;
            for (int32_t token = 0; token < count; token++) {
                sum += std::exp(logits[token] - highest);
            }
            const float log_sum = highest + static_cast<float>(std::log(sum));
            const bool  known   = tokens[i] >= 0 && tokens[i] < count;
            logprobs[i]         = known ? logits[tokens[i]] - log_sum : -INFINITY;

            for (int32_t token = 0; token < count; token++) {
                order[token] = token;
            }
            const int32_t kept = std::min(top, count);
            std::partial_sort(order.begin(), order.begin() + kept, order.end(),
                              [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
            for (int32_t rank = 0; rank < top; rank++) {
                top_tokens[i * top + rank]   = rank < kept ? order[rank] : -1;
                top_logprobs[i * top + rank] = rank < kept ? logits[order[rank]] - log_sum : -INFINITY;
            }
        }
    });
}

int32_t fh_token_piece(const llama_model * model, int32_t token, int special, char * piece, int32_t size) {
    const auto * vocab = llama_model_get_vocab(model);
    if (token < 0 || token >= llama_vocab_n_tokens(vocab)) {
        return 0;
    }
    return llama_token_to_piece(vocab, token, piece, size, 0, special != 0);
}

int fh_special_texts(const llama_model * model, char ** json) {
    return fh_guard("internal", json, [&] {
        const auto * vocab = llama_model_get_vocab(model);
        common_json  texts = common_json::array();
        for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); token++) {
            const auto kind = llama_vocab_get_attr(vocab, token);
            if (kind & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED)) {
                texts.push_back(std::string(llama_vocab_get_text(vocab, token)));
            }
        }
        *json = fh_copy(texts.dump_safe());
    });
}
