# libfreehold_chat: llama.cpp's chat formats, sampling step and memory figures behind a C ABI.
# Included, not added as a subdirectory: CMake makes none during deferred execution.

set(FREEHOLD_CHAT_DIR ${CMAKE_CURRENT_LIST_DIR})

add_library(freehold_chat SHARED
    ${FREEHOLD_CHAT_DIR}/chat_format.cpp
    ${FREEHOLD_CHAT_DIR}/output_parser.cpp
    ${FREEHOLD_CHAT_DIR}/sample_step.cpp
    ${FREEHOLD_CHAT_DIR}/memory_breakdown.cpp
)

target_compile_features(freehold_chat PRIVATE cxx_std_17)
target_compile_options(freehold_chat PRIVATE -Wall -Wextra -Wno-unused-function -fvisibility=hidden)
target_link_libraries(freehold_chat PRIVATE llama-common llama ggml ggml-base)
# llama-ext.h (memory figures) and llama-grammar.h (grammar check) are not public headers.
target_include_directories(freehold_chat PRIVATE ${CMAKE_SOURCE_DIR}/vendor/llama.cpp/src)
