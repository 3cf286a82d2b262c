// Chat templates and grammars: what runs in the killable format worker.

#include "abi.h"
#include "chat.h"
#include "json-schema-to-grammar.h"
#include "llama-grammar.h"
#include "log.h"

#include <memory>

namespace {

constexpr size_t MAX_PROMPT_BYTES = 4u << 20;

// llama.cpp's own log would print prompts and answers.
[[maybe_unused]] const bool LOG_SILENCED = [] {
    common_log_set_verbosity_thold(-1);
    return true;
}();

common_chat_templates_inputs read_request(const common_json & request) {
    common_chat_templates_inputs inputs;
    try {
        inputs.messages    = common_chat_msgs_parse_oaicompat(request.at("messages"));
        inputs.tools       = common_chat_tools_parse_oaicompat(request.value("tools", common_json()));
        inputs.tool_choice = common_chat_tool_choice_parse_oaicompat(
            request.value("tool_choice", std::string("auto")));
        inputs.parallel_tool_calls   = request.value("parallel_tool_calls", false);
        inputs.json_schema           = request.value("json_schema", std::string());
        inputs.enable_thinking       = request.value("enable_thinking", true);
        inputs.add_generation_prompt = request.value("add_generation_prompt", true);
        if (request.value("continue_final_message", false)) {
            if (inputs.messages.empty() || inputs.messages.back().role != "assistant" ||
                !inputs.messages.back().tool_calls.empty()) {
                throw fh_error("invalid_request",
                               "only a last message of the assistant without tool calls can be continued");
            }
            inputs.continue_final_message = COMMON_CHAT_CONTINUATION_AUTO;
            inputs.add_generation_prompt  = false;
        }
        inputs.reasoning_format = request.value("read_thinking", true) ? COMMON_REASONING_FORMAT_DEEPSEEK
                                                                       : COMMON_REASONING_FORMAT_NONE;
        const auto kwargs = request.value("template_kwargs", common_json::object());
        for (const auto & [name, value] : kwargs.items()) {
            inputs.chat_template_kwargs[name] = value.dump();
        }
    } catch (const fh_error &) {
        throw;
    } catch (const std::exception & error) {
        throw fh_error("invalid_request", error.what());
    }
    return inputs;
}

common_json trigger_list(const std::vector<common_grammar_trigger> & triggers) {
    common_json list = common_json::array();
    for (const auto & trigger : triggers) {
        const char * kind = trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN      ? "pattern"
                            : trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL ? "pattern_full"
                                                                                       : "word";
        common_json item = common_json::object();
        item["kind"]     = kind;
        item["value"]    = trigger.value;
        list.push_back(item);
    }
    return list;
}

// What fh_parser_new takes.
std::string parser_state(const common_chat_params & applied, bool is_continuation) {
    common_json state          = common_json::object();
    state["format"]            = static_cast<int>(applied.format);
    state["generation_prompt"] = applied.generation_prompt;
    state["parser"]            = applied.parser;
    state["is_continuation"]   = is_continuation;
    return state.dump_safe();
}

// The messages that decide how the answer is written: the system's, and the last turn.
std::vector<common_chat_msg> last_turn(const std::vector<common_chat_msg> & messages) {
    size_t start = messages.size();
    while (start > 0 && messages[--start].role != "user") {
    }
    std::vector<common_chat_msg> turn(messages.begin() + static_cast<std::ptrdiff_t>(start), messages.end());
    if (start > 0 && messages[0].role == "system") {
        turn.insert(turn.begin(), messages[0]);
    }
    return turn;
}

}  // namespace

// llama.cpp works out how a model writes by rendering probes; an end-of-sequence text in them can
// mislead it (Mistral Small 3.2: "[ARGS]" is then expected twice, and no tool call is read). So the
// way of reading comes from the template without that text, the prompt from the one with it.
// WORKAROUND(llama.cpp 0.5.0, chat-diff-analyzer.cpp): remove when the test of that family passes.
struct fh_templates {
    common_chat_templates_ptr rendering;
    common_chat_templates_ptr reading;  // null where the text makes no difference
};

int fh_abi_version(void) {
    return FH_ABI_VERSION;
}

void fh_free(void * text) {
    std::free(text);
}

int fh_templates_new(const char * source, const char * bos_text, const char * eos_text,
                     fh_templates ** templates, char ** error) {
    return fh_guard("invalid_template", error, [&] {
        const std::string text = source == nullptr || source[0] == '\0' ? "chatml" : source;
        if (text != "chatml") {
            // llama.cpp's own reading loses the message of a syntax error.
            jinja::lexer lexer;
            jinja::parse_from_tokens(lexer.tokenize(text));
        }
        auto created           = std::make_unique<fh_templates>();
        created->rendering     = common_chat_templates_init(nullptr, text, bos_text, eos_text);
        if (eos_text[0] != '\0' && text.find("eos_token") != std::string::npos) {
            created->reading = common_chat_templates_init(nullptr, text, bos_text, "");
        }
        *templates             = created.release();
    });
}

void fh_templates_free(fh_templates * templates) {
    delete templates;
}

int fh_templates_describe(fh_templates * templates, char ** json) {
    return fh_guard("invalid_template", json, [&] {
        common_json abilities = common_json::object();
        for (const auto & [name, value] : common_chat_templates_get_caps(templates->rendering.get())) {
            abilities[name] = value;
        }
        abilities["supports_thinking"] = common_chat_templates_support_enable_thinking(templates->rendering.get());
        *json = fh_copy(abilities.dump());
    });
}

int fh_templates_apply(fh_templates * templates, const char * request, char ** json) {
    return fh_guard("invalid_template", json, [&] {
        common_json parsed;
        try {
            parsed = common_json::parse(request);
        } catch (const std::exception & error) {
            throw fh_error("invalid_request", error.what());
        }
        auto       inputs  = read_request(parsed);
        auto       applied = common_chat_templates_apply(templates->rendering.get(), inputs);
        if (templates->reading) {
            auto prompt     = std::move(applied.prompt);
            inputs.messages = last_turn(inputs.messages);
            applied         = common_chat_templates_apply(templates->reading.get(), inputs);
            applied.prompt  = std::move(prompt);
        }
        if (applied.prompt.size() > MAX_PROMPT_BYTES) {
            throw fh_error("invalid_template", "the rendered chat is over 4 MB");
        }
        const bool continues = inputs.continue_final_message != COMMON_CHAT_CONTINUATION_NONE;

        common_json answer          = common_json::object();
        answer["prompt"]            = applied.prompt;
        answer["format"]            = common_chat_format_name(applied.format);
        answer["grammar"]           = applied.grammar;
        answer["grammar_lazy"]      = applied.grammar_lazy;
        answer["triggers"]          = trigger_list(applied.grammar_triggers);
        answer["stops"]             = common_json(common_json_value(applied.additional_stops));
        answer["preserved_tokens"]  = common_json(common_json_value(applied.preserved_tokens));
        answer["generation_prompt"] = applied.generation_prompt;
        answer["supports_thinking"] = applied.supports_thinking;
        answer["thinking_start"]    = applied.thinking_start_tag;
        answer["thinking_ends"]     = common_json(common_json_value(applied.thinking_end_tags));
        answer["parser"]            = parser_state(applied, continues);
        *json                       = fh_copy(answer.dump_safe());
    });
}

int fh_grammar_from_schema(const char * schema, char ** gbnf) {
    return fh_guard("invalid_grammar", gbnf, [&] {
        *gbnf = fh_copy(json_schema_to_grammar(common_json::parse(schema)));
    });
}

int fh_grammar_check(const char * gbnf, char ** error) {
    return fh_guard("invalid_grammar", error, [&] {
        llama_grammar * grammar =
            llama_grammar_init_impl(nullptr, gbnf, "root", false, nullptr, 0, nullptr, 0);
        if (grammar == nullptr) {
            throw fh_error("invalid_grammar", "it does not parse, has no rule \"root\", or is left-recursive");
        }
        llama_grammar_free_impl(grammar);
    });
}
