// C interface of libfreehold_chat.
//
// Functions that can fail return 0 for success. On failure they return 1 and leave an error in
// their last output: a JSON object {"kind": "invalid_template" | "invalid_grammar" |
// "invalid_request" | "internal", "message": "..."}. No C++ exception leaves the library.
//
// Memory: every `char *` handed out, result or error, is freed with fh_free. Every handle has one
// `_free`. Strings given in are copied.
//
// Threads: a handle belongs to one thread at a time; different handles are independent.
#pragma once

#include "llama.h"

#include <stddef.h>
#include <stdint.h>

#define FH_API __attribute__((visibility("default")))
#define FH_ABI_VERSION 1

#ifdef __cplusplus
extern "C" {
#endif

struct fh_templates;
struct fh_parser;
struct fh_sampler;

FH_API int  fh_abi_version(void);
FH_API void fh_free(void * text);

// --- chat templates ---------------------------------------------------------------------------

// Reads a template (Jinja source; "chatml" for the built-in one). Runs the template to see what it
// can do: call it only where the process may be killed.
FH_API int  fh_templates_new(const char * source, const char * bos_text, const char * eos_text,
                             struct fh_templates ** templates, char ** error);
FH_API void fh_templates_free(struct fh_templates * templates);

// JSON of the template's abilities: {"supports_tools": bool, ..., "supports_thinking": bool}.
FH_API int fh_templates_describe(struct fh_templates * templates, char ** json);

// Renders a chat. `request`: {"messages", "tools", "tool_choice": "auto"|"none"|"required",
// "parallel_tool_calls", "json_schema" (text), "enable_thinking", "template_kwargs",
// "add_generation_prompt", "continue_final_message", "read_thinking"}. The answer holds "prompt",
// "grammar", "grammar_lazy", "triggers", "stops", "preserved_tokens", "generation_prompt",
// "thinking_start", "thinking_ends", "supports_thinking", "format" and "parser" (for fh_parser_new).
FH_API int fh_templates_apply(struct fh_templates * templates, const char * request, char ** json);

// JSON schema (text) to GBNF.
FH_API int fh_grammar_from_schema(const char * schema, char ** gbnf);

// Parses a GBNF grammar the way the sampler will, left recursion refused.
FH_API int fh_grammar_check(const char * gbnf, char ** error);

// --- output parser ----------------------------------------------------------------------------

FH_API int  fh_parser_new(const char * state, struct fh_parser ** parser, char ** error);
FH_API void fh_parser_free(struct fh_parser * parser);

// Adds output and tells what is new: {"content", "reasoning", "tool_calls": [{"index", "call_id",
// "name", "arguments"}]}, absent keys for nothing, NULL for nothing at all.
FH_API int fh_parser_feed(struct fh_parser * parser, const char * text, size_t size, int final,
                          char ** json, size_t * json_size);

// --- sampling ---------------------------------------------------------------------------------

#define FH_FLAG_END 1       // the token ends generation
#define FH_FLAG_DEAD_END 2  // no token of the vocabulary fits the grammar

// Takes `chain`, also when it fails. `constraint`: GrammarConstraint as JSON, "" for none.
FH_API int  fh_sampler_new(const struct llama_model * model, struct llama_sampler * chain,
                           const char * constraint, struct fh_sampler ** sampler, char ** error);
FH_API void fh_sampler_free(struct fh_sampler * sampler);

// Tells the chain (penalties, DRY), not the grammar, about a token that was not sampled.
FH_API int fh_sampler_accept(struct fh_sampler * sampler, int32_t token, char ** error);

// Samples one token for each of `n` sequences and tells its sampler. Text of sequence i is
// pieces[ends[i-1] .. ends[i]); it is empty when flags[i] is not 0.
FH_API int fh_sample_step(struct llama_context * context, int32_t n,
                          struct fh_sampler * const * samplers, const int32_t * logit_indices,
                          int32_t * tokens, int32_t * flags, int32_t * ends,
                          char * pieces, int32_t pieces_size, char ** error);

// Natural-log probabilities over the whole vocabulary, before any sampler: of `tokens[i]`, and the
// `top` likeliest in falling order (unused places: token -1).
FH_API int fh_token_logprobs(struct llama_context * context, int32_t n,
                             const int32_t * logit_indices, const int32_t * tokens, int32_t top,
                             float * logprobs, int32_t * top_tokens, float * top_logprobs,
                             char ** error);

// Writes the token's bytes; returns their number, or minus the room needed.
FH_API int32_t fh_token_piece(const struct llama_model * model, int32_t token, int special,
                              char * piece, int32_t size);

// JSON list of the texts the tokenizer turns into control or user-defined tokens.
FH_API int fh_special_texts(const struct llama_model * model, char ** json);

// --- memory -----------------------------------------------------------------------------------

// JSON: {"CUDA0": {"model": bytes, "context": bytes, "compute": bytes}, "CPU": {...}}.
FH_API int fh_memory_breakdown(const struct llama_context * context, char ** json);

#ifdef __cplusplus
}
#endif
