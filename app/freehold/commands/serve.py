"""`freehold serve`: the background server, without a window."""

from __future__ import annotations

import argparse

from freehold.paths import user_paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `serve`."""
    parser.add_argument(
        "--port",
        type=port_number,
        help="the port to listen on; without it the one in the settings (11711), or the next free",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on (default: 127.0.0.1, this machine alone)",
    )
    parser.add_argument("--model", metavar="REF", help="load this model right away")


def port_number(text: str) -> int:
    """Return a port number; 0 lets the system choose."""
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port number (0 to 65535)")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    from freehold.server.main import serve

    serve(user_paths(), host=args.host, port=args.port, model=args.model, say=say)
    return 0


def say(text: str) -> None:
    """Tell the person who started the server."""
    print(text, flush=True)
