"""How long the HTML report takes to answer a change of a control: not part of the suite.

    python -m tests.bench.page [--sentences 40000] [--repeats 5]

Prints milliseconds from the change to the new page laid out, in headless Chromium. Sentences are of two runs and four
languages, of about ten made-up words; 19 probes have flipped six entities of each in the mean.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

import pyarrow as pa

from ner.report.error_sections import error_sections
from ner.report.page import write_report
from ner.report.sentence_data import read
from ner.utils import table
from tests.browser import Page, missing_programs, start_browser
from tests.report.losses import many_flips, many_losses

FLIPS_OF_SENTENCE = 6  # in the mean; of German on French sentences there are five

CHANGES = {
    "run": "runs/all",
    "language": "fr",
    "type": "ORG",
    "error": "boundary error",
    "flipped": "upper",
    "flip": "lost",
    "words": "1f",
    "loss": "1.5",
    "order": "mean",
    "ascending": "yes",
    "case": "yes",
    "size": "100",
}
CHANGE = """
    const control = document.querySelector(`[name=${arguments[0]}]`);
    const begun = performance.now();
    if (control.type === "checkbox") control.checked = true; else control.value = arguments[1];
    for (const name of ["input", "change"]) control.dispatchEvent(new Event(name, { bubbles: true }));
    document.body.getBoundingClientRect();
    return performance.now() - begun;
"""


def measure(page: Page, repeats: int) -> list[tuple[str, float, float]]:
    """Control, and the median milliseconds of its change alone and with all those before it."""
    alone: dict[str, list[float]] = {name: [] for name in CHANGES}
    together: dict[str, list[float]] = {name: [] for name in CHANGES}
    for _ in range(repeats):
        for name, value in CHANGES.items():
            page.open("")
            alone[name].append(page.run(CHANGE, name, value))
        page.open("")
        for name, value in CHANGES.items():
            together[name].append(page.run(CHANGE, name, value))
    return [(name, median(alone[name]), median(together[name])) for name in CHANGES]


def main() -> None:
    """Writes a page, and measures it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=40_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if missing := missing_programs():
        raise SystemExit(f"no {' and no '.join(missing)}: apt-get install chromium chromium-driver")
    with tempfile.TemporaryDirectory(prefix="ner-page-") as folder:
        file = Path(folder, "page.html")
        half = options.sentences // 2
        runs = [many_losses(half, seed, run) for seed, run in enumerate(("runs/de", "runs/all"))]
        sentences = read(pa.concat_tables(runs))
        flips = many_flips(sentences, FLIPS_OF_SENTENCE)
        write_report(file, sentences, title="Many", sections=error_sections(sentences), flips=flips)
        browser = start_browser(Path(folder, "chromium"))
        try:
            found = measure(Page(browser, file), options.repeats)
        finally:
            browser.quit()
        size = file.stat().st_size / 1e6
    rows = [(name, f"{alone:.0f}", f"{together:.0f}") for name, alone, together in found]
    print(table(["control", "alone (ms)", "with those before (ms)"], rows))
    print(f"\n{2 * half:,} sentences, {size:.1f} MB, medians of {options.repeats}")


if __name__ == "__main__":
    main()
