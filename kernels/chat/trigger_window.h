// Finds what wakes a lazy grammar.
//
// llama.cpp searches the whole output with regular expressions at every token, which costs the
// square of the output's length. A trigger is short, so the end of the output says the same; when it
// is found there, the tokens of the window are given to llama.cpp's grammar, which finds it again
// and replays what follows.
#pragma once

#include "common.h"

#include <algorithm>
#include <deque>
#include <regex>
#include <string>
#include <utility>
#include <vector>

class trigger_window {
  public:
    // kind: "word", "pattern" (searched) or "pattern_full" (the whole output).
    void watch(const std::string & kind, const std::string & value) {
        if (kind == "word") {
            words_.push_back(value);
            patterns_.push_back(regex_escape(value));
            room_ = std::max(room_, value.size());
            return;
        }
        std::string pattern = value;
        if (kind == "pattern_full") {
            pattern = (pattern.empty() || pattern.front() != '^' ? "^" : "") + pattern;
            pattern += pattern.back() != '$' ? "$" : "";
        }
        expressions_.push_back({ std::regex(pattern), !pattern.empty() && pattern.front() == '^' });
        patterns_.push_back(pattern);
        room_ = std::max(room_, PATTERN_ROOM);
    }

    // All triggers as llama.cpp takes them.
    const std::vector<std::string> & patterns() const { return patterns_; }

    // Adds a token; true if a trigger is now complete. A token leaves the front only while the rest
    // still covers the longest trigger that could be under way.
    bool add(llama_token token, const std::string & piece) {
        tokens_.emplace_back(token, piece.size());
        text_ += piece;
        while (tokens_.size() > 1 && text_.size() - tokens_.front().second >= room_ + piece.size()) {
            text_.erase(0, tokens_.front().second);
            tokens_.pop_front();
            cut_ = true;
        }
        return std::any_of(words_.begin(), words_.end(),
                           [&](const std::string & word) { return text_.find(word) != std::string::npos; }) ||
               std::any_of(expressions_.begin(), expressions_.end(), [&](const expression & found) {
                   return !(found.at_start && cut_) && std::regex_search(text_, found.regex);
               });
    }

    const std::deque<std::pair<llama_token, size_t>> & tokens() const { return tokens_; }

  private:
    static constexpr size_t PATTERN_ROOM = 256;

    struct expression {
        std::regex regex;
        bool       at_start;  // speaks of the start of the output
    };

    std::vector<std::string>                    words_;
    std::vector<expression>                     expressions_;
    std::vector<std::string>                    patterns_;
    size_t                                      room_ = 0;
    std::deque<std::pair<llama_token, size_t>> tokens_;  // with the size of their text
    std::string                                 text_;
    bool                                        cut_ = false;  // the output's start has left
};
