"""`python3 -m bootstrap run|test`: make the clone ready to run, or to be tested."""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
from pathlib import Path

from bootstrap import environment, file_lock, native_build, stages, system_packages
from bootstrap.progress import SetupError, say

OLDEST_PYTHON = (3, 11)
VENV_BYTES = 1_500_000_000


def main() -> int:
    """Prepare what was asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="bootstrap", description=__doc__)
    parser.add_argument("purpose", choices=("run", "test"))
    purpose = parser.parse_args().purpose
    checkout = native_build.Checkout(Path(__file__).resolve().parents[2])
    try:
        prepare(checkout, for_tests=purpose == "test")
    except SetupError as error:
        print(f"\n{error.message}\n\n→ {error.next_step}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the next run goes on from here.", file=sys.stderr)
        return 130
    return 0


def prepare(checkout: native_build.Checkout, *, for_tests: bool) -> None:
    """Do every step that is not done yet."""
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(
            f"Freehold needs Python 3.11 or newer; this is {platform.python_version()}.",
            "Debian 12 and Ubuntu 24.04 have it: apt-get install python3",
        )
    stamps = checkout.root / ".venv/stamps"
    steps = plan_steps(checkout, for_tests=for_tests)
    if not stages.pending(steps, stamps):
        return
    cache = native_build.cache_folder()
    place = hashlib.sha256(str(checkout.root).encode()).hexdigest()[:12]
    with file_lock.hold(cache / f"locks/{place}", "the preparation of this folder"):
        stages.run(steps, stamps)
    say("Ready.")


def plan_steps(checkout: native_build.Checkout, *, for_tests: bool) -> list[stages.Stage]:
    """Return the steps in order."""
    root, pins = checkout.root, checkout.requirements
    venv, cache = root / ".venv", native_build.cache_folder()
    python = f"{platform.python_version()} {Path(sys.executable).resolve()}"
    needs = system_packages.FOR_RUNNING + system_packages.FOR_BUILDING
    names = " ".join(need.what for need in needs)

    def make_venv() -> None:
        system_packages.provide(system_packages.FOR_VENV)
        environment.require_disk(root, VENV_BYTES, "Installing the Python packages")
        environment.make(venv)

    def build_native() -> None:
        built = native_build.build(checkout, cache)
        extra = [pins / f"{built.plan.cublas}.txt"] if built.plan.cublas else []
        if extra:
            environment.install(venv, extra, "cuBLAS", cache / "logs/cublas.log")
        say(f"Installing the engine ({built.plan.backend.upper()}: {built.plan.reason})")
        arguments = ["install", "--no-deps", "--no-index", "--force-reinstall", str(built.wheel)]
        environment.pip(venv, arguments, cache / "logs/engine.log")
        decision = json.dumps(built.decision(), indent=2)
        (venv / "freehold-build.json").write_text(decision + "\n")

    steps = [
        stages.Stage("venv", python, make_venv),
        stages.Stage("system", names, lambda: system_packages.provide(needs)),
        stages.Stage(
            "runtime",
            stages.digest_files([pins / "runtime.txt"]),
            lambda: environment.install(
                venv, [pins / "runtime.txt"], "Python packages", cache / "logs/runtime.log"
            ),
        ),
        stages.Stage("native", native_build.fingerprint(checkout), build_native),
        stages.Stage(
            "application",
            f"{root} {environment.LAUNCHER}",
            lambda: environment.add_application(venv, root / "app"),
        ),
    ]
    if for_tests:
        test_needs = system_packages.FOR_TESTS
        steps += [
            stages.Stage(
                "system-test",
                " ".join(need.what for need in test_needs),
                lambda: system_packages.provide(test_needs),
            ),
            stages.Stage(
                "dev",
                stages.digest_files([pins / "dev.txt"]),
                lambda: environment.install(
                    venv, [pins / "dev.txt"], "test tools", cache / "logs/dev.log"
                ),
            ),
        ]
    return steps


if __name__ == "__main__":
    sys.exit(main())
