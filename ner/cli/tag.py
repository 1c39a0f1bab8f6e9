"""Tags texts, the rows of a file, or the lines of standard input.

    ner tag runs/all --text "Jeff Dean ist ein Informatiker bei Google in Kalifornien"
    ner tag runs/all --table --text "Jeff Dean ist ein Informatiker bei Google in Kalifornien"
    ner tag runs/all < lines.txt
    ner tag runs/all --input lines.txt --output tagged.jsonl
    accelerate launch -m ner tag runs/all --input lines.txt --output tagged.parquet
    ner tag runs/all --input texts/ --output tagged/
    ner tag runs/de --input fr.txt --uncertain 200 --output to_annotate.jsonl

Without --output the texts are printed with their entities. With it, all rows are checked before the first is tagged,
and processes share them; stopped or killed, the same command goes on after the last row that is written.

A folder, or several files, are tagged into a folder: a file of it for each, whole or not there. Processes share the
files. What is finished is left alone; what cannot be read is named at the end, when the others are done.

With --uncertain only the sentences that would teach most are written, to be annotated: in a form that Label Studio,
Argilla, Doccano or Prodigy imports (--format), or as words and tags to edit. --data reads what comes back.
"""

import contextlib
import copy
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from accelerate import Accelerator
from accelerate.utils import gather_object
from transformers import PreTrainedTokenizerBase

from ner.arguments import FAILED, command, echo, exit_on_input_error, parse
from ner.config import TagConfig
from ner.data.annotation_forms import suffix_of, to_text
from ner.errors import InputError, listed, single_line
from ner.files import file_errors, locked, write_atomic
from ner.runtime import decided, say, start_accelerator, wait_for_everyone
from ner.tagging import annotation, files
from ner.tagging.blocks import Share, pass_over, tag_blocks
from ner.tagging.document import Tag, TaggedText
from ner.tagging.journal import Journal
from ner.tagging.rendering import for_terminal, has_colours, word_table
from ner.tagging.selection import POOL, Pool, choose, merged
from ner.tagging.shards import Job, Shard, find_shards
from ner.tagging.shared_work import problems_of, tag_shards
from ner.tagging.tagger import Tagger
from ner.tagging.windows import sub_tokens
from ner.training.signals import SIGNALS, STOPPED, handled
from ner.utils import progress_bar


def tag_file(config: TagConfig, tag: Tag, fingerprint: str, accelerator: Accelerator) -> None:
    """Tags the rows of a file, or the lines of standard input, into --output; processes share them, a block each.

    fingerprint: equal for taggers that say the same. What is done stands in a journal beside the output, with which a
    killed run goes on. Raises InputError for bad input; that of a file is found before anything is tagged.
    """
    output, source = Path(config.output or ""), source_of(config)
    if output.suffix not in files.OUTPUTS:
        raise InputError(f"--output {output}: its name should end in {' '.join(files.OUTPUTS)}")
    total = check_files(config, output, source, accelerator)
    journal = Journal(output.with_name(f".{output.name}.unfinished"))
    with contextlib.ExitStack() as stack:

        def begin() -> int:
            with file_errors(output):
                output.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(output.with_name(f".{output.name}.lock"), str(output)))
                check_is_new(output, config.overwrite)  # another program may have finished it just now
                return journal.go_on({"model": fingerprint, "column": config.column}, config.overwrite)

        num_done = decided(accelerator, begin)
        tag_rest(config, journal, output, source, tag, num_done, total, accelerator)


def source_of(config: TagConfig) -> Path | None:
    """The one file of --input; None for standard input. Raises InputError for several, or a folder."""
    if not config.input:
        return None
    if is_lot(config):
        raise InputError(f"--input {config.input[0]}: several files, or a folder, only go into a folder: --output")
    return Path(config.input[0])


def is_lot(config: TagConfig) -> bool:
    """Whether files are tagged into a folder: several, those of a folder, or one into what is no name of a file."""
    if len(config.input) != 1 or Path(config.input[0]).is_dir():
        return bool(config.input)
    output = config.output or ""
    return bool(output) and (output.endswith(("/", os.sep)) or Path(output).is_dir())


def tag_folder(config: TagConfig, tag: Tag, fingerprint: str, accelerator: Accelerator) -> None:
    """Tags files into a folder, a shard each; processes share the shards.

    Raises InputError for what cannot be tagged: for another model or other options before anything is, for bad input
    when all others are.
    """
    folder = Path(config.output or "")

    def find() -> tuple[list[Shard], list[Path]]:
        if folder.suffix in files.OUTPUTS and not folder.is_dir():
            raise InputError(f"--output {folder}: names a file; several files go into a folder")
        found = find_shards(list(map(Path, config.input)), folder, f".{config.shard_format or 'jsonl'}")
        with file_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return found

    shards, others = decided(accelerator, find)
    if others:
        say(accelerator, f"{len(others):,} left alone, which are no files to tag: {listed(map(str, others))}")
    job = Job(tag, {"model": fingerprint, "column": config.column}, config.column, config.overwrite)
    try:
        done = tag_shards(shards, job, accelerator)
    except (OSError, KeyboardInterrupt) as error:
        reason = stopped_by(error) if isinstance(error, KeyboardInterrupt) else single_line(error)
        say(accelerator, f"{folder}: {reason}; the same command does what is left")
        sys.exit(STOPPED if isinstance(error, KeyboardInterrupt) else FAILED)
    counts = f"{done.shards:,} of {len(shards):,} shards, {done.kept:,} of them from before, with {done.total:,} rows"
    rates = f"{done.rows / done.seconds:,.0f} rows and {done.words / done.seconds:,.0f} words a second"
    say(accelerator, f"{folder}: {counts}; {done.rows:,} rows tagged in {done.seconds:.1f} s: {rates}")
    if done.failures:
        say(accelerator, problems_of([*done.failures, *done.problems], "the same command does what is left"))
        sys.exit(FAILED)
    if done.problems:
        raise InputError(problems_of(done.problems, f"{len(done.problems):,} of {len(shards):,} shards are not tagged"))


def check_is_new(output: Path, overwrite: bool) -> None:
    """Raises InputError for a file that is there, and is not to be replaced."""
    if output.exists() and not overwrite:
        raise InputError(f"--output {output}: is there already; --overwrite replaces it")


def tag_rest(
    config: TagConfig,
    journal: Journal,
    output: Path,
    source: Path | None,
    tag: Tag,
    num_done: int,
    total: int | None,
    accelerator: Accelerator,
) -> None:
    """Tags the rows behind the `num_done` that the journal has, and writes the output.

    Those that are not of this input any more are tagged again with --overwrite, else they raise InputError.
    """
    rows = files.read(source, config.column) if source else files.read_stdin()
    num_same, rows = pass_over(rows, journal, num_done, overwrite=config.overwrite)
    if num_same < num_done:
        wait_for_everyone()  # the others read the journal, too
        if accelerator.is_main_process:
            with file_errors(journal.file):
                journal.cut(num_same)
        num_done = num_same
    share = Share(accelerator.num_processes, accelerator.process_index, gather_object)
    start, num_rows, num_words = time.perf_counter(), 0, 0
    bar = progress_bar(accelerator, "tag", " rows", total=total, initial=num_done)
    try:
        with bar:
            for rows_now, words_now in tag_blocks(rows, journal, tag, as_words=output.suffix == ".conll", share=share):
                num_rows += rows_now
                num_words += words_now
                bar.update(rows_now)
        seconds = time.perf_counter() - start
        if accelerator.is_main_process:
            files.write(journal.rows(), output, source, config.column)
            journal.file.unlink()
    except (OSError, KeyboardInterrupt) as error:
        reason = stopped_by(error) if isinstance(error, KeyboardInterrupt) else single_line(error)
        say(accelerator, f"{output}: {reason}; the same command goes on after row {num_done + num_rows:,}")
        sys.exit(STOPPED if isinstance(error, KeyboardInterrupt) else FAILED)
    rates = f"{num_rows / seconds:,.0f} rows and {num_words / seconds:,.0f} words a second"
    say(accelerator, f"{output}: {num_done + num_rows:,} rows, {num_rows:,} of them tagged in {seconds:.1f} s: {rates}")


def write_uncertain(config: TagConfig, tag: Tag, accelerator: Accelerator) -> None:
    """Tags all rows, and writes the sentences to annotate next; processes share the rows, a block each.

    Nothing is kept of what a killed run has done. Raises InputError for bad input; that of a file is found before
    anything is tagged.
    """
    output, source = Path(config.output or ""), source_of(config)
    if output.suffix != suffix_of(config.format):
        ending = f"its name should end in {suffix_of(config.format)}, as `format` is {config.format}"
        raise InputError(f"`output` {output}: {ending}")
    total = check_files(config, output, source, accelerator)
    reading = annotation.Reading(
        splitter=config.words,
        measure=config.uncertainty,
        model=config.run,
        known=annotation.known_sentences(config.annotated),
    )
    pool = Pool(POOL * (config.uncertain or 0))
    share = Share(accelerator.num_processes, accelerator.process_index)
    mine = share.of(files.read(source, config.column) if source else files.read_stdin())
    try:
        with progress_bar(accelerator, "tag", " rows", total=total and -(-total // share.num_processes)) as bar:
            num_rows = annotation.fill(pool, mine, tag, reading, bar.update)
    except KeyboardInterrupt as error:
        say(accelerator, f"{output}: {stopped_by(error)}; nothing is written, and the same command begins again")
        sys.exit(STOPPED)
    pools, sizes = zip(*gather_object([(pool.best(), num_rows)]), strict=True)
    if not any(pools):
        raise InputError(f"{source or 'standard input'}: no sentence that is not annotated already")
    if not accelerator.is_main_process:
        return
    chosen = choose(merged(pools, pool.size), config.uncertain or 0)
    with file_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(output, to_text(annotation.to_rows(chosen, config.format), config.format))
    words = sum(len(candidate.words) for candidate in chosen)
    say(accelerator, f"{output}: {len(chosen):,} sentences to annotate, of {words:,} words, out of {sum(sizes):,} rows")


def check_files(config: TagConfig, output: Path, source: Path | None, accelerator: Accelerator) -> int | None:
    """How many rows the input has, all of them checked; None for standard input.

    Raises InputError for an output that is there, a bad input, and standard input for several processes.
    """
    check_is_new(output, config.overwrite)
    if source is None and accelerator.num_processes > 1:
        raise InputError("processes cannot share standard input; name a file: --input FILE")
    return files.count(source, config.column) if source else None


@contextlib.contextmanager
def ends_at_a_signal() -> Iterator[None]:
    """Within, what asks a program to stop ends it with STOPPED, as an interrupt does: what is written stays.

    Signals become a KeyboardInterrupt, here and where it is caught before; the same one again ends it at once.
    """

    def interrupt(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt(signal.Signals(number).name)

    try:
        with handled(interrupt, [number for number in SIGNALS if number != signal.SIGINT]):
            yield
    except KeyboardInterrupt as error:
        if int(os.environ.get("LOCAL_RANK", "0")) == 0:
            echo(f"ner tag: {stopped_by(error)}; nothing is lost", sys.stderr)
        sys.exit(STOPPED)


def stopped_by(interrupt: KeyboardInterrupt) -> str:
    """What is said of an interrupt: the signal, or nothing more where a person did it."""
    return f"stopped by {interrupt.args[0]}" if interrupt.args else "stopped"


def print_tagged(config: TagConfig, tagger: Tagger) -> None:
    """Prints texts, those of a file, or lines of standard input, as `shown` has them. Raises InputError."""
    source = source_of(config)
    if source:
        files.count(source, config.column)
    rows = files.read(source, config.column) if source else files.read_stdin()
    contents = iter(config.text) if config.text else (files.sound(row).content for row in rows)
    is_live = not config.text and not source and sys.stdin.isatty()
    blocks = ([content] for content in contents) if is_live else iter([contents])
    # The tagger reads texts ahead in a thread, and what cuts its windows is a setting of its tokenizer.
    tokenizer = copy.deepcopy(tagger.tokenizer) if config.table else tagger.tokenizer
    for block in blocks:
        for tagged in tagger.tag(block):
            print(shown(config, tagged, tokenizer), flush=is_live)


def shown(config: TagConfig, tagged: TaggedText, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text with its entities marked; with --table, its words in columns, and an empty line behind them."""
    if not config.table:
        return for_terminal(tagged.text, tagged.entities, has_colours())
    pieces = sub_tokens([tagged.text[start:end] for start, end in tagged.words], tokenizer)
    return word_table(tagged, pieces, shutil.get_terminal_size().columns) + "\n"


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner tag`."""
    with ends_at_a_signal(), exit_on_input_error():
        config = parse(TagConfig, arguments, __doc__)
        if config.shard_format and (config.uncertain or not config.output or not is_lot(config)):
            raise InputError("--shard-format needs a folder that files are tagged into: --input FOLDER --output FOLDER")
        accelerator = start_accelerator(config.mixed_precision)
        tagger = Tagger.from_pretrained(
            config.run,
            checkpoint=config.checkpoint,
            device=accelerator.device,
            precision=accelerator.mixed_precision,
            words=config.words,
            score=config.score,
            max_length=config.max_length,
            max_tokens=config.max_tokens_per_micro_batch,
            probabilities=config.probabilities or bool(config.uncertain),
            min_score=config.min_score,
        )
        if config.uncertain:
            write_uncertain(config, tagger.tag, accelerator)
        elif config.output and is_lot(config):
            tag_folder(config, tagger.tag, tagger.fingerprint(), accelerator)
        elif config.output:
            tag_file(config, tagger.tag, tagger.fingerprint(), accelerator)
        elif accelerator.is_main_process:
            print_tagged(config, tagger)
    wait_for_everyone()
    accelerator.end_training()  # else a process may abort when it ends, with the connection to the others still open
