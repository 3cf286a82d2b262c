"""Prepare a fresh clone: system libraries, `.venv`, pinned packages and the native build.

Runs on the system's python3 with the standard library alone; started by the Makefile.
"""
