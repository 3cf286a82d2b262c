"""Make the pictures of README: the real window on a virtual screen, before a scripted server."""
