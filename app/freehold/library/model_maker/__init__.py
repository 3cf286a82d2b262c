"""Random-weight models for tests and benchmarks, in the shape of real ones.

shapes: the sizes · vocabulary: tokens and merges · blocks: random quantised weights · kimi, llama,
bert: metadata and tensors of each architecture · recipe: what to make, and the writing of it.
"""
