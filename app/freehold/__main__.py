"""Run the command line: `python -m freehold`."""

from freehold.cli import main

raise SystemExit(main())
