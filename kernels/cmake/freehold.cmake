# Included by the llama.cpp build through CMAKE_PROJECT_llama_cpp_INCLUDE: adds this project's
# own libraries beside llama.cpp's without patching an upstream file.
#
# The file is read right after `project(llama_cpp)`, before any target exists, so the work is
# deferred until the top-level CMakeLists has run.

set(FREEHOLD_KERNELS_DIR ${CMAKE_CURRENT_LIST_DIR}/..)

function(freehold_add_libraries)
    if(EXISTS ${FREEHOLD_KERNELS_DIR}/chat/CMakeLists.txt)
        add_subdirectory(${FREEHOLD_KERNELS_DIR}/chat ${CMAKE_BINARY_DIR}/freehold_chat)
        llama_cpp_python_install_target(freehold_chat)
    endif()
    llama_cpp_python_install_target(llama-common)
endfunction()

cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL freehold_add_libraries)
