"""Build the GPU pack: llama.cpp's CUDA backend with hooks, and Freehold's expert kernels.

The pack is a folder of two libraries that is added to an ordinary CPU installation.
"""
