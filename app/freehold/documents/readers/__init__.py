"""Readers of file formats, one family a file. They run in the parser process alone."""
