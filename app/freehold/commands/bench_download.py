"""`freehold bench download`: the measurements that live beside the downloader's tests."""

from __future__ import annotations

import argparse
import subprocess
import sys

from freehold.errors import AppError
from freehold.paths import resources


def measure_download(args: argparse.Namespace) -> int:
    """Run them one after the other; return the first bad exit status, else 0."""
    scripts = resources().parent / "tests" / "bench"
    if not (scripts / "download.py").is_file():
        raise AppError(
            "not_supported",
            "This measurement needs the repository's tests, which are not here.",
            "Run it in a checkout of Freehold.",
        )
    words = ["--gb", str(args.gb), "--shard-gb", str(args.shard_gb), "--rounds", str(args.rounds)]
    for command in ([str(scripts / "download.py"), *words], [str(scripts / "listing.py")]):
        status = subprocess.run([sys.executable, *command], check=False).returncode
        if status:
            return status
    return 0
