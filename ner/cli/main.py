"""Named-entity tagging for text in several languages, from a pretrained encoder and few labels.

usage: ner COMMAND [options]        (ner COMMAND --help explains one)

Look at data
  corpus        what is in a data set: sentences, words, entities, tag scheme, duplicates; convert it to Parquet
  tokens        how an encoder's tokenizer splits a text, and which sub-tokens are labelled
  cache         what is kept of data that was read and encoded, where, and how much; delete what is not used

Train and test
  train         fine-tune an encoder as a tagger             (accelerate launch train.py, of the repository)
  baseline      a CRF, or the dictionary of training mentions, in seconds: what an encoder has to beat
  average       the mean of the weights of runs that differ in their seed
  evaluate      F1 of one or more runs on every language, learning curve, losses of every token

Understand the errors
  errors        losses by word, tag, language; kinds of entity errors; sentences of the highest loss
  probe         what changed sentences and other names do to F1, and which entities they lose
  label-errors  sentences whose gold tags are most likely wrong
  page          an HTML report to browse all of it
  layers        inside the encoder, before and after: what its layers hold, a map of entities, attention

Use a tagger
  tag           texts, files or standard input; accelerate launch -m ner tag for several processes
  serve         a page to try taggers in a browser, on this machine alone
  api           an HTTP service for programs: texts in, entities out
  calibrate     fit its scores to how often entities are right, and find the score that gives a precision
  export        ONNX, checked against PyTorch

Try it without data
  demo          write the embedded corpus and a small encoder
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ner.arguments import BAD_INPUT, command, echo

COMMANDS = (
    "corpus",
    "tokens",
    "cache",
    "baseline",
    "average",
    "errors",
    "probe",
    "label-errors",
    "page",
    "layers",
    "tag",
    "serve",
    "api",
    "calibrate",
    "export",
    "demo",
)
SCRIPTS = ("train", "evaluate")
PACKAGE = Path(__file__).parent.parent


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command. arguments: of the command line, None for sys.argv."""
    name, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    if name in ("-h", "--help"):
        print(str(__doc__).rstrip())
    elif name == "--version":
        from ner import __version__

        print(f"ner {__version__}")
    elif name in SCRIPTS:
        sys.argv = [f"ner {name}", *rest]
        load_script(name).main(rest)
    elif name in COMMANDS:
        sys.argv = [f"ner {name}", *rest]
        import_module(f"ner.cli.{name.replace('-', '_')}").main(rest)
    else:
        echo(f"ner: no command {name!r}; ner --help lists them", sys.stderr)
        sys.exit(BAD_INPUT)


def load_script(name: str) -> ModuleType:
    """train.py or evaluate.py: in the package as it is installed, beside it in the repository."""
    installed = PACKAGE / "scripts" / f"{name}.py"
    file = installed if installed.is_file() else PACKAGE.parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"ner.scripts.{name}", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
