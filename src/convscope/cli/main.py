"""The command `convscope`: finds the verb, runs it, and turns every error into one sentence and an exit status.

A verb is a module of this folder with `main(argv) -> exit status`. Only the chosen one is imported, and torch only
when it is needed, so that help and lists appear at once.
"""

import io
import os
import sys
from importlib import import_module, metadata

VERBS = {
    "train": "train a network on a data set, or resume a training",
    "compare": "train several networks and compare them, or compare runs",
    "search": "try many settings, judge them on the validation split, keep the best",
    "evaluate": "test a run: metrics, confusion matrix, pictures of mistakes",
    "predict": "say what a run's network sees in image files",
    "bench": "measure how fast a run's network answers, in each engine that is here",
    "serve": "let other programs ask a run's network over HTTP",
    "explain": "show a network layer by layer: shapes, parameters, multiply-adds, memory",
    "explore": "click through a run's network in the browser, down to the arithmetic of one value",
    "look": "see inside of a run's network: filters, maps, patches, what an answer rests on",
    "report": "write a run's report as one HTML page",
    "export": "write a run's network as a file for other programs: ONNX, TorchScript, OpenVINO",
    "runs": "list runs, or show one",
    "models": "list the networks",
    "data": "list, show and fetch data sets",
    "doctor": "examine the machine, a data set, or a training before it begins",
    "learn": "do the exercises of the book: write functions, have them checked",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name); 0 success, 1 failure, 2 the user's mistake."""
    argv = sys.argv[1:] if argv is None else argv
    debug = "--debug" in argv
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no text at all
    argv = [argument for argument in argv if argument != "--debug"]
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()  # here, where a reader that is gone can be told from an error
    except BrokenPipeError:  # the reader, `head` for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            raise
        return _explain(error)


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0
    verb = argv[0]
    if verb in ("-V", "--version"):
        print(f"convscope {metadata.version('convscope')}")
        return 0
    if verb not in VERBS:
        from convscope.errors import unknown

        raise unknown("verb", verb, VERBS)
    status: int = import_module(f"convscope.cli.{verb}").main(argv[1:])
    return status


def _explain(error: BaseException) -> int:
    """Print an error as one sentence on standard error; answers the exit status."""
    from convscope.errors import ConvscopeError, is_out_of_memory, on_one_line

    if isinstance(error, ConvscopeError):
        message, status = str(error), error.exit_status
    elif isinstance(error, KeyboardInterrupt):
        message, status = "stopped.", 130
    elif isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        message, status = f"{place}{error.strerror or error}: make room or choose another place, then try again.", 1
    elif is_out_of_memory(error):
        message, status = "the memory does not suffice: choose a smaller --batch-size or --input-size.", 1
    else:
        message = (
            f"an error that Convscope did not expect ({type(error).__name__}: {error}): "
            f"run the command again with --debug and report what it prints."
        )
        status = 1
    print(f"convscope: {on_one_line(message)}", file=sys.stderr)
    return status


def _usage() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {summary}" for verb, summary in VERBS.items())
    return f"""usage: convscope VERB [ARGUMENTS]

Classic convolutional networks, trained fast and opened up.

{verbs}

Begin with:
  convscope train fashion-mnist-mini tinyvgg_bn --epochs 3
  convscope compare fashion-mnist linear tinyvgg tinyvgg_bn --epochs 5

`convscope VERB --help` explains a verb; --debug after any verb shows where an error came from; --version."""


if __name__ == "__main__":
    sys.exit(main())
