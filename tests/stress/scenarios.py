"""What happens to runs in the programs of this folder: each by its name, and a line that says what came of it."""

import argparse
import time
from collections.abc import Callable, Iterable, Mapping


def chosen_of(description: str | None, scenarios: Iterable[str]) -> list[str]:
    """The scenarios of the command line; all, if it names none."""
    names = list(scenarios)
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("scenario", nargs="*", help=", ".join(names))
    return parser.parse_args().scenario or names


def play(scenarios: Mapping[str, Callable[[], str]], after: Callable[[], None] | None = None) -> bool:
    """Prints what came of each. Returns whether one does not hold. after: each of them."""
    failed = False
    for name, scenario in scenarios.items():
        begin = time.monotonic()
        try:
            outcome = scenario()
        except AssertionError as error:
            outcome, failed = f"FAILED: {error}", True
        print(f"{name}: {outcome} ({time.monotonic() - begin:.0f} s)", flush=True)
        if after:
            after()
    return failed
