"""`python -m gpu_pack`: build the GPU pack, and install it where this user's Freehold looks."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from bootstrap import native_build
from bootstrap.progress import SetupError, say
from gpu_pack.build import ARCHITECTURES, Options, build


def main() -> int:
    """Build, then copy the pack; return the exit status."""
    parser = argparse.ArgumentParser(prog="gpu_pack", description=__doc__)
    parser.add_argument("--architectures", default=ARCHITECTURES, help="as CMake has them")
    parser.add_argument("--no-flash-attention", action="store_true", help="faster to build")
    parser.add_argument("--install", type=Path, help="folder to copy the pack to")
    arguments = parser.parse_args()
    checkout = native_build.Checkout(Path(__file__).resolve().parents[2])
    options = Options(arguments.architectures, not arguments.no_flash_attention)
    try:
        pack = build(checkout, native_build.cache_folder(), options)
    except SetupError as error:
        print(f"\n{error.message}\n\n→ {error.next_step}", file=sys.stderr)
        return 1
    if arguments.install:
        _install(pack, arguments.install)
    say(f"The GPU pack is in {arguments.install or pack}")
    return 0


def _install(pack: Path, folder: Path) -> None:
    fresh = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(pack, fresh)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


if __name__ == "__main__":
    sys.exit(main())
