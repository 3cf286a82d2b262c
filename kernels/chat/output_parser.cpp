// Reads a model's output apart as it comes: content, reasoning, tool calls.
//
// llama.cpp parses an output from its start each time, so a long answer would cost the square of
// its length. Two things keep the cost small: while the end of the output lies inside plain text,
// text that holds no character a marker could start with is passed on unparsed; and a parse waits
// until ten times the last parse's duration has gone by.

#include "abi.h"
#include "chat-peg-parser.h"
#include "chat.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <memory>
#include <random>

namespace {

using clock_type = std::chrono::steady_clock;

constexpr int    WAIT_FACTOR     = 10;
constexpr size_t MAX_PARSE_DEPTH = 500;  // nested brackets; the parser takes 3 KB of stack for each

enum class tail_kind { other, content, reasoning };

struct told_call {
    bool        named = false;
    std::string arguments;
};

bool starts_with(const std::string & text, const std::string & prefix) {
    return text.compare(0, prefix.size(), prefix) == 0;
}

bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

std::string random_id() {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    std::random_device seed;
    std::string        id;
    for (int i = 0; i < 32; i++) {
        id += letters[seed() % (sizeof(letters) - 1)];
    }
    return id;
}

// The marks of a format: what text is read up to, and any other literal but words and spaces,
// which in these grammars only follow such a mark.
std::vector<std::string> find_markers(const common_peg_arena & arena) {
    std::vector<std::string> markers;
    for (size_t id = 0; id < arena.size(); id++) {
        const auto & parser = arena.get(id);
        if (const auto * literal = std::get_if<common_peg_literal_parser>(&parser)) {
            const auto & text = literal->literal;
            if (!text.empty() && !is_space(text[0]) && std::isalnum(static_cast<unsigned char>(text[0])) == 0) {
                markers.push_back(text);
            }
        } else if (const auto * until = std::get_if<common_peg_until_parser>(&parser)) {
            markers.insert(markers.end(), until->delimiters.begin(), until->delimiters.end());
        } else if (const auto * any = std::get_if<common_peg_ac_parser>(&parser)) {
            markers.insert(markers.end(), any->delimiters.begin(), any->delimiters.end());
        }
    }
    return markers;
}

// Bytes that could end plain text.
std::array<bool, 256> first_bytes(const std::vector<std::string> & markers) {
    std::array<bool, 256> bytes{};
    for (const auto & marker : markers) {
        if (!marker.empty()) {
            bytes[static_cast<unsigned char>(marker[0])] = true;
        }
    }
    for (const char opening : { '<', '[', '{', '`' }) {  // JSON and fences start without a literal
        bytes[static_cast<unsigned char>(opening)] = true;
    }
    return bytes;
}

// Whether text holds nothing but marks and white space, the last mark perhaps cut short.
bool only_markers(const std::string & text, const std::vector<std::string> & markers) {
    size_t at = 0;
    while (at < text.size()) {
        if (is_space(text[at])) {
            at++;
            continue;
        }
        size_t longest = 0;
        for (const auto & marker : markers) {
            if (marker.size() > 1 && text.compare(at, marker.size(), marker) == 0) {
                longest = std::max(longest, marker.size());
            } else if (text.size() - at < marker.size() && starts_with(marker, text.substr(at))) {
                return true;
            }
        }
        if (longest == 0) {
            return false;
        }
        at += longest;
    }
    return true;
}

}  // namespace

struct fh_parser {
    common_chat_parser_params params;
    bool                      plain = false;  // nothing but content can come
    bool                      eager = false;  // parse at every call, for tests
    bool                      continues = false;  // goes on with a message already begun
    std::vector<std::string>  markers;
    std::array<bool, 256>     marker_bytes{};

    std::string            input;           // generation prompt and all output
    size_t                 prompt_size = 0;
    std::string            pending;         // output since the last parse that is not told
    tail_kind              tail = tail_kind::other;
    std::string            content;         // told so far
    std::string            reasoning;       // told so far
    std::vector<told_call> calls;           // told so far
    size_t                 depth = 0, deepest = 0;
    clock_type::time_point next_parse{};

    struct parsed {
        common_chat_msg message;
        bool            failed = false;
        tail_kind       tail   = tail_kind::other;
        size_t          unread = 0;  // where what was not understood begins
    };

    parsed parse() const {
        parsed result;
        common_peg_parse_context context(input, COMMON_PEG_PARSE_FLAG_LENIENT);
        const auto outcome = params.parser.parse(context);
        result.failed      = outcome.fail();
        result.unread      = outcome.success() ? outcome.end : outcome.fail() ? prompt_size : input.size();

        std::unique_ptr<common_chat_peg_mapper> mapper;
        if (params.format == COMMON_CHAT_FORMAT_PEG_GEMMA4) {
            mapper = std::make_unique<common_chat_peg_gemma4_mapper>(result.message);
        } else if (params.format == COMMON_CHAT_FORMAT_PEG_MINIMAX_M3) {
            mapper = std::make_unique<common_chat_peg_minimax_m3_mapper>(result.message);
        } else {
            mapper = std::make_unique<common_chat_peg_mapper>(result.message);
        }
        mapper->from_ast(context.ast, outcome);

        context.ast.visit(outcome, [&](const common_peg_ast_node & node) {
            if (node.tag.empty() || node.start == node.end) {
                return;
            }
            if (result.failed) {
                result.unread = std::max(result.unread, node.end);
            }
            if (node.end == input.size()) {
                result.tail = node.tag == common_chat_peg_builder::CONTENT     ? tail_kind::content
                              : node.tag == common_chat_peg_builder::REASONING ? tail_kind::reasoning
                                                                               : tail_kind::other;
            }
        });
        return result;
    }

    void count_depth(const std::string & text) {
        for (const char c : text) {
            if (c == '{' || c == '[') {
                deepest = std::max(deepest, ++depth);
            } else if ((c == '}' || c == ']') && depth > 0) {
                depth--;
            }
        }
    }

    bool has_marker(const std::string & text) const {
        return std::any_of(text.begin(), text.end(),
                           [&](char c) { return marker_bytes[static_cast<unsigned char>(c)]; });
    }
};

namespace {

// What one call tells.
struct delta {
    std::string content;
    std::string reasoning;
    common_json calls = common_json::array();

    bool empty() const { return content.empty() && reasoning.empty() && calls.size() == 0; }

    std::string to_json() const {
        common_json json = common_json::object();
        if (!content.empty()) {
            json["content"] = content;
        }
        if (!reasoning.empty()) {
            json["reasoning"] = reasoning;
        }
        if (calls.size() > 0) {
            json["tool_calls"] = calls;
        }
        return json.dump_safe();
    }
};

// Moves `told` on to `now` and returns what is new. Text that is told cannot be taken back: a
// partial parse that contradicts it waits for a later one, the final one tells what differs.
std::string advance(std::string & told, const std::string & now, bool final) {
    if (starts_with(now, told)) {
        std::string fresh = now.substr(told.size());
        told              = now;
        return fresh;
    }
    if (!final || starts_with(told, now)) {
        return "";
    }
    const auto  difference = std::mismatch(told.begin(), told.end(), now.begin(), now.end());
    std::string fresh(difference.second, now.end());
    told = now;
    return fresh;
}

void tell_calls(fh_parser & parser, const common_chat_msg & message, bool final, delta & out) {
    for (size_t index = 0; index < message.tool_calls.size(); index++) {
        const auto & call = message.tool_calls[index];
        if (parser.calls.size() <= index) {
            parser.calls.emplace_back();
        }
        told_call & told = parser.calls[index];
        // A name may still grow ("get" to "get_weather") until its arguments begin.
        const bool settled = final || !call.arguments.empty() || index + 1 < message.tool_calls.size();
        if (call.name.empty() || (!told.named && !settled)) {
            continue;
        }
        const std::string arguments = advance(told.arguments, call.arguments, final);
        if (told.named && arguments.empty()) {
            continue;
        }
        common_json item = common_json::object();
        item["index"]    = index;
        if (!told.named) {
            item["call_id"] = call.id.empty() ? random_id() : call.id;
            item["name"]    = call.name;
            told.named      = true;
        }
        item["arguments"] = arguments;
        out.calls.push_back(item);
    }
}

// Formats leave the line breaks around their marks in the text; they mean nothing to a reader.
std::string trimmed(const std::string & text, bool at_end) {
    size_t begin = 0;
    size_t end   = text.size();
    while (begin < end && (text[begin] == '\n' || text[begin] == '\r')) {
        begin++;
    }
    while (at_end && end > begin && is_space(text[end - 1])) {
        end--;
    }
    return text.substr(begin, end - begin);
}

void tell_message(fh_parser & parser, const common_chat_msg & message, bool final, delta & out) {
    const bool continues = parser.continues;
    out.reasoning += advance(
        parser.reasoning, continues ? message.reasoning_content : trimmed(message.reasoning_content, true), final);
    out.content += advance(parser.content, continues ? message.content : trimmed(message.content, false), final);
    tell_calls(parser, message, final, out);
}

// Passes text on without parsing; keeps white space at the end back, since a format may drop it.
void tell_verbatim(fh_parser & parser, delta & out) {
    size_t end = parser.pending.size();
    while (end > 0 && is_space(parser.pending[end - 1])) {
        end--;
    }
    const std::string fresh = parser.pending.substr(0, end);
    parser.pending.erase(0, end);
    if (parser.tail == tail_kind::content) {
        parser.content += fresh;
        out.content += fresh;
    } else {
        parser.reasoning += fresh;
        out.reasoning += fresh;
    }
}

void tell_parsed(fh_parser & parser, bool final, delta & out) {
    const auto started = clock_type::now();
    auto       parsed  = parser.parse();
    if (final && parsed.unread < parser.input.size()) {
        // Not of the expected format: what could not be read apart is told as it is.
        const std::string unread = parser.input.substr(std::max(parsed.unread, parser.prompt_size));
        if (!only_markers(unread, parser.markers)) {
            parsed.message.content += unread;
        }
    }
    tell_message(parser, parsed.message, final, out);
    parser.pending.clear();
    parser.next_parse = clock_type::now() + WAIT_FACTOR * (clock_type::now() - started);

    // Only text that ends exactly as the output does lets the next text be passed on unparsed.
    parser.tail          = parsed.failed ? tail_kind::other : parsed.tail;
    const auto & current = parser.tail == tail_kind::content ? parser.content : parser.reasoning;
    if (current.empty() || parser.input.empty() || current.back() != parser.input.back() ||
        is_space(current.back())) {
        parser.tail = tail_kind::other;
    }
}

void feed(fh_parser & parser, const std::string & text, bool final, delta & out) {
    if (parser.plain) {
        out.content = text;
        return;
    }
    parser.count_depth(text);
    parser.input += text;
    parser.pending += text;
    if (parser.deepest > MAX_PARSE_DEPTH) {  // the parser recurses and would overflow the stack
        out.content = parser.pending;
        parser.pending.clear();
        return;
    }
    if (final) {
        tell_parsed(parser, true, out);
    } else if (parser.tail != tail_kind::other && !parser.has_marker(parser.pending)) {
        tell_verbatim(parser, out);
    } else if (!text.empty() && (parser.eager || clock_type::now() >= parser.next_parse)) {
        tell_parsed(parser, false, out);
    }
}

}  // namespace

int fh_parser_new(const char * state, fh_parser ** parser, char ** error) {
    return fh_guard("internal", error, [&] {
        const auto json    = common_json::parse(state);
        auto       created = std::make_unique<fh_parser>();
        auto &     params  = created->params;

        params.format            = static_cast<common_chat_format>(json.at("format").get<int>());
        params.generation_prompt = json.at("generation_prompt").get<std::string>();
        const auto arena         = json.at("parser").get<std::string>();
        if (!arena.empty()) {
            params.parser.load(arena);
        }
        created->plain       = params.parser.empty();
        created->eager       = json.value("eager", false);
        created->markers     = find_markers(params.parser);
        created->marker_bytes = first_bytes(created->markers);
        created->input       = params.generation_prompt;
        created->prompt_size = created->input.size();
        created->continues = json.value("is_continuation", false);
        if (!created->plain && created->continues) {
            delta already_there;
            tell_message(*created, created->parse().message, false, already_there);
        }
        *parser = created.release();
    });
}

void fh_parser_free(fh_parser * parser) {
    delete parser;
}

int fh_parser_feed(fh_parser * parser, const char * text, size_t size, int final, char ** json,
                   size_t * json_size) {
    *json      = nullptr;
    *json_size = 0;
    return fh_guard("internal", json, [&] {
        delta out;
        feed(*parser, std::string(text, size), final != 0, out);
        if (!out.empty()) {
            const std::string told = out.to_json();
            *json_size             = told.size();
            *json                  = fh_copy(told);
        }
    });
}
