"""Freehold: own the language models you use."""

__version__ = "0.1.0"
