"""How long a checkpoint takes, and how soon a run goes on in the middle of an epoch: not part of the suite.

python -m tests.stress.resume_time --model NAME --data NAME [FLAGS of train.py]
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
STOP_AFTER = 150  # of 313 steps, with 20,000 sentences in steps of 64


def start(flags: list[str], run: Path) -> subprocess.Popen:
    """Training for one epoch that logs each step."""
    options = ["--output", str(run), "--epochs", "1", "--log-every", "1", "--sample", "all", "--resume", "auto"]
    with run.with_suffix(".err").open("a", encoding="utf-8") as errors:
        return subprocess.Popen([sys.executable, str(ROOT / "train.py"), *flags, *options], stderr=errors)


def wait_for(process: subprocess.Popen, run: Path, step: int) -> None:
    """Until that step is in the log."""
    log = run / "log.jsonl"
    deadline = time.monotonic() + 1200
    while not (log.exists() and f'"step": {step},' in log.read_text(encoding="utf-8")):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise SystemExit(run.with_suffix(".err").read_text(encoding="utf-8")[-2000:])
        time.sleep(0.02)


def main() -> None:
    """The command line."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        begin = time.monotonic()
        process = start(sys.argv[1:], run)
        wait_for(process, run, 1)
        fresh = time.monotonic() - begin
        wait_for(process, run, STOP_AFTER)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=600) == 75, os.strerror(process.returncode)
        entries = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        checkpoint = next(entry["checkpoint"] for entry in entries if "checkpoint" in entry)
        begin = time.monotonic()
        process = start(sys.argv[1:], run)
        wait_for(process, run, checkpoint["step"] + 1)
        resumed = time.monotonic() - begin
        process.kill()
        process.wait(timeout=60)
    megabytes, seconds, standstill = (checkpoint[name] for name in ("megabytes", "seconds", "stopped_seconds"))
    print(f"checkpoint: {megabytes} MB in {seconds} s, training stood still for {standstill} s")
    print(f"first step after {fresh:.1f} s; resumed after step {checkpoint['step']}: after {resumed:.1f} s")


if __name__ == "__main__":
    main()
