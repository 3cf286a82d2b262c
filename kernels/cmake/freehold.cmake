# Included by the llama.cpp build through CMAKE_PROJECT_llama_cpp_INCLUDE: adds this project's
# own libraries beside llama.cpp's without patching an upstream file.
#
# The file is read right after `project(llama_cpp)`, before any target exists, so the work is
# deferred until the top-level CMakeLists has run.

set(FREEHOLD_KERNELS_DIR ${CMAKE_CURRENT_LIST_DIR}/..)

function(freehold_add_libraries)
    include(${FREEHOLD_KERNELS_DIR}/chat/freehold_chat.cmake)
    llama_cpp_python_install_target(freehold_chat)
    llama_cpp_python_install_target(llama-common)

    # The chat templates of the source package: the test model takes Kimi K2's, the tests all.
    file(GLOB templates ${CMAKE_SOURCE_DIR}/vendor/llama.cpp/models/templates/*.jinja)
    install(FILES ${templates} DESTINATION ${SKBUILD_PLATLIB_DIR}/llama_cpp/lib/templates)

    # cuBLAS from a Python package lies beside this one, wherever both are installed.
    if(TARGET ggml-cuda AND FREEHOLD_CUDA_RPATH)
        set_property(TARGET ggml-cuda APPEND PROPERTY INSTALL_RPATH "${FREEHOLD_CUDA_RPATH}")
    endif()
endfunction()

cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL freehold_add_libraries)
