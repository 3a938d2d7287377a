"""Read changed files for a given time, led by the branches that they reach; `make fuzz` runs this.

    python tests/fuzz/fuzz.py [--seconds 600] [--reader NAME]

Each reader gets the same share of the seconds, in a process of its own, from Atheris (https://github.com/google/atheris),
which puts libFuzzer to work on Python code. Of each it is printed how many inputs were tried. The first input that
makes a reader misbehave is kept below fuzz-findings/, and the exit status is 1 then.

    python tests/fuzz/fuzz.py --reader NAME --again FILE      reads a finding once more, and shows the traceback
"""

import argparse
import contextlib
import io
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import atheris
from words import LENGTHS, WORDS

# Before anything else, because a module is prepared for measuring while it is imported; Atheris tells of each.
INSTRUMENTED = ["convscope", "PIL", "yaml", "tarfile", "zipfile", "numpy.lib", "csv"]
with contextlib.redirect_stderr(io.StringIO()), atheris.instrument_imports(include=INSTRUMENTED):
    from guard import guarded
    from readers import READERS, Trial, trial_of

FINDINGS = Path("fuzz-findings")
IN_MEMORY = Path("/dev/shm")
MOST_BYTES = 1 << 14
MOST_MEBIBYTES = 4096


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz every reader of files from outside.")
    parser.add_argument("--seconds", type=int, default=600, help="time for all readers together (default: 600)")
    parser.add_argument("--reader", choices=READERS, help="this one alone")
    parser.add_argument("--again", type=Path, metavar="FILE", help="let it read this one file")
    options = parser.parse_args()
    if options.again:
        with tempfile.TemporaryDirectory() as folder:
            attempt(trial_of(options.reader, Path(folder)), options.again.read_bytes())
        return 0
    names = [options.reader] if options.reader else list(READERS)
    total, sound = 0, True
    for name in names:
        started = time.monotonic()
        count, finding = fuzz(name, max(1, options.seconds // len(names)))
        print(f"{name:<32} {count:>10,} inputs {time.monotonic() - started:>6.0f} s  {finding}", flush=True)
        total, sound = total + count, sound and finding == ""
    print(f"{'all':<32} {total:>10,} inputs", flush=True)
    return 0 if sound else 1


def fuzz(name: str, seconds: int) -> tuple[int, str]:
    """How many inputs a reader was given, and what went wrong, if anything did."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        log = Path(folder) / "log"
        child = os.fork()
        if child == 0:
            with log.open("w") as file:
                os.dup2(file.fileno(), sys.stdout.fileno())
                os.dup2(file.fileno(), sys.stderr.fileno())
            try:
                explore(trial_of(name, Path(tempfile.mkdtemp(dir=folder))), Path(folder), seconds)
            finally:
                os._exit(1)  # the folder is the parent's to remove
        _, status = os.waitpid(child, 0)
        words = log.read_text(errors="replace")
    counts = re.findall(r"(?:number_of_executed_units: |^#)(\d+)", words, re.MULTILINE)
    finding = ""
    if status != 0:
        kept = re.findall(r"Test unit written to (\S+)", words)
        finding = f"FOUND {kept[0]}" if kept else f"FAILED {words[-3000:]}"
    return int(counts[-1]) if counts else 0, finding


def explore(trial: Trial, folder: Path, seconds: int) -> None:
    """Fuzz in this process, which ends with it."""
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, contents in enumerate(trial.contents):
        (corpus / str(number)).write_bytes(contents)
    words = ["".join(f"\\x{byte:02x}" for byte in word) for word in (*LENGTHS, *WORDS) if len(word) <= 64]
    (folder / "words").write_text("".join(f'"{word}"\n' for word in words))
    findings = FINDINGS / re.sub(r"\W+", "-", trial.reader.name)
    findings.mkdir(parents=True, exist_ok=True)
    settings = {
        "max_total_time": seconds,
        "max_len": MOST_BYTES,
        "rss_limit_mb": MOST_MEBIBYTES,
        "timeout": 0,  # the guard has an alarm of its own
        "dict": folder / "words",
        "artifact_prefix": f"{findings}/",
        "print_final_stats": 1,
    }
    arguments = [f"-{key}={value}" for key, value in settings.items()]
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], lambda contents: attempt(trial, contents))
    atheris.Fuzz()


def attempt(trial: Trial, contents: bytes) -> None:
    """Give a reader a file, and let through what it does wrong."""
    trial.put(contents)
    with guarded(trial.folder):
        trial.accepts()


if __name__ == "__main__":
    sys.exit(main())
