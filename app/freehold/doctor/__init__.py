"""Checks of an installation, each with its finding and what to do about it."""
