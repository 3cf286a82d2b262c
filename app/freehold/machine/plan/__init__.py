"""What fits where, and why: pure decisions over a model's shape and a machine's memory.

shape: the model by layer · kv: bytes of the KV cache · budgets: what each device has ·
placement: which layer goes where · words: the reasons · planning: all of it together.
"""
