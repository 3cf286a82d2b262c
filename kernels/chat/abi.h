// How results and errors leave the library.
#pragma once

#include "freehold_chat.h"
#include "json.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

// A failure with a kind the caller can tell apart.
struct fh_error : std::runtime_error {
    const char * kind;

    fh_error(const char * kind, const std::string & message) : std::runtime_error(message), kind(kind) {}
};

inline char * fh_copy(const std::string & text) {
    char * copy = static_cast<char *>(std::malloc(text.size() + 1));
    if (copy != nullptr) {
        std::memcpy(copy, text.c_str(), text.size() + 1);
    }
    return copy;
}

inline char * fh_error_text(const char * kind, const char * message) {
    try {
        common_json error = common_json::object();
        error["kind"]     = kind;
        error["message"]  = message;
        return fh_copy(error.dump_safe());
    } catch (...) {
        return fh_copy("{\"kind\": \"internal\", \"message\": \"out of memory\"}");
    }
}

// Runs `body`; whatever it throws becomes the error text in `out`. `kind` names failures that say
// nothing about themselves.
template <typename Body> int fh_guard(const char * kind, char ** out, Body && body) {
    try {
        body();
        return 0;
    } catch (const fh_error & error) {
        *out = fh_error_text(error.kind, error.what());
    } catch (const std::bad_alloc &) {
        *out = fh_error_text(kind, "out of memory");
    } catch (const std::exception & error) {
        *out = fh_error_text(kind, error.what());
    } catch (...) {
        *out = fh_error_text("internal", "unknown C++ exception");
    }
    return 1;
}
