"""How much memory a process took."""

import resource
import sys
from pathlib import Path


def peak_megabytes() -> float:
    """The most that this program held, of its own: Linux counts what started it into `ru_maxrss`."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
