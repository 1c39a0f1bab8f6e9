"""Which precision trains fastest here, of each side: measured, because what a machine has it may still emulate."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ner.errors import single_line
from ner.utils import table
from tests.bench.contenders import AT_ITS_BEST, BEST, OURS, Contender, Material, ours, theirs
from tests.bench.programs import ProgramError

AUTO = "auto"
SECONDS = 600.0  # a run that takes longer is far from the fastest
Rates = dict[str, dict[str, Any]]  # of a side: sentences a second by precision, or why there are none


def measured_precisions(
    folder: Path, material: Material, steps: int, precisions: Sequence[str], seconds: float = SECONDS
) -> Rates:
    """A short run of each side in each precision, in turn; the very first warms the caches, and is not counted."""
    flags = ["--max-updates", str(steps)]
    found = []
    for precision in precisions:
        output = folder / f"ours-{precision}"
        found.append((OURS, precision, ours(material, material.encoder, output, precision, "--max-steps", str(steps))))
        if material.trainer:
            output = folder / "trainer"
            program = theirs(material, material.encoder, output, precision, *AT_ITS_BEST, *flags)
            found.append((BEST, precision, program))
    rates: Rates = {}
    for side, precision, program in found[:1] + found:
        contender = Contender(side, program, folder / f"ours-{precision}" if side == OURS else None)
        try:
            contender.measure(seconds)
            rates.setdefault(side, {})[precision] = contender.rates[-1]
        except ProgramError as error:
            rates.setdefault(side, {})[precision] = single_line(error)[-300:]
        print(f"{side}, {precision}: {rates[side][precision]}", file=sys.stderr)
    return rates


def fastest(rates: Mapping[str, Any]) -> str:
    """The precision with the highest rate. Exits if none has one."""
    numbers = {precision: rate for precision, rate in rates.items() if not isinstance(rate, str)}
    if not numbers:
        raise SystemExit(f"no precision could be measured: {dict(rates)}")
    return max(numbers, key=lambda precision: numbers[precision])


def precision_table(rates: Rates, auto: str) -> str:
    """Sentences a second of each side in each precision, and what was chosen. auto: what `auto` stands for here."""
    precisions = list(dict.fromkeys(name for of_side in rates.values() for name in of_side))
    rows = []
    for side, own in rates.items():
        cells = [value if isinstance(value := own.get(name, ""), str) else f"{value:.1f}" for name in precisions]
        rows.append([side, *cells, fastest(own)])
    named = ["fp32" if name == "no" else name for name in precisions]
    lines = [table(["sentences/s, short runs", *named, "fastest"], rows)]
    if fastest(rates[OURS]) != auto:
        lines.append(f"`--mixed-precision auto` takes {auto}, which is not the fastest for {OURS} here")
    else:
        lines.append(f"`--mixed-precision auto` takes {auto}, the fastest for {OURS} here")
    return "\n\n".join(lines)
