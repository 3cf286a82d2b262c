"""`python -m screenshots FOLDER`: one picture per scene and theme."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from doubles.displays import start_display

SCENES = (
    "welcome",
    "chat",
    "proof",
    "documents",
    "models",
    "machine",
    "costs",
    "costs-live",
    "costs-month",
    "settings",
    "help",
)
THEMES = ("light", "dark")
SCENE_LIMIT_S = 90


def main() -> int:
    """Make every picture; return the exit status."""
    parser = argparse.ArgumentParser(prog="screenshots", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with start_display(1280, 820) as display:
        for scene in SCENES:
            for theme in THEMES:
                picture = folder / f"{scene}-{theme}.png"
                with tempfile.TemporaryDirectory() as data:
                    settings = {**display.environment, "FREEHOLD_DATA": data}
                    subprocess.run(
                        [sys.executable, "-m", "screenshots.scene", scene, theme, str(picture)],
                        env={**os.environ, **settings},
                        check=True,
                        timeout=SCENE_LIMIT_S,
                    )
                print(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
