"""The recipe of the starter chat model: text, tokenizer, network, training, export, measuring.

guide_items: what it must know of the app · passages, tool_tasks, drills: text made from seeds ·
vocabulary: the tokenizer · network, optimizer, training: plain PyTorch · export: to GGUF ·
evaluation: the table of scores. `python -m starter_model` runs each step.
"""
