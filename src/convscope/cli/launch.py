"""Starts the processes of a training on this machine, and ends them all when one of them has failed.

PyTorch's elastic agent does it, the one behind `torchrun`; see `docs/processes.md`.
"""

import logging
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from convscope.errors import ConvscopeError

TIME_TO_SAVE = 60
"""Seconds from Ctrl-C until processes that have not ended are killed."""


def launch(argv: list[str], *, devices: int, nodes: int, node_rank: int, meet: str | None) -> int:
    """Run `convscope train` with `argv` in `devices` processes here; answers the exit status of the main one.

    Raises:
        ConvscopeError: the main process was killed, so that it could not say why, or is on another machine, where the
            training failed; or the machines did not meet.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=devices,
        # Machines that come from elsewhere must know it beforehand; on one machine a free port will do.
        run_id="convscope" if meet else uuid.uuid4().hex,
        rdzv_backend="static" if meet else "c10d",
        rdzv_endpoint=meet or "localhost:0",
        rdzv_configs={"rank": node_rank},
        local_addr=None if meet else "localhost",
        max_restarts=0,
        shutdown_timeout=TIME_TO_SAVE,
    )
    debug = [flag for flag in sys.argv if flag == "--debug"]
    logging.disable()  # the processes say themselves what is to be said
    try:
        with _handlers_kept():
            elastic_launch(config, sys.executable)("-m", "convscope", "train", *argv, *debug)
    except SignalException:  # Ctrl-C, which every process was told of
        return 130
    except ChildFailedError as error:
        if node_rank:
            raise ConvscopeError(
                "the training has ended before its time: check what the command on the first machine says."
            ) from error
        status = error.failures[0].exitcode if 0 in error.failures else 1
        if status < 0:
            raise ConvscopeError(
                f"the main process was ended by {signal.Signals(-status).name}, and with it the training: go on with "
                f"`convscope train --resume` and the run that `convscope runs` names."
            ) from error
        return status
    except (RuntimeError, ValueError, ConnectionError, TimeoutError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ConvscopeError(
            f"the processes did not meet at {meet or 'localhost'} ({reason}): run the command on every machine at the "
            f"same time, with the same --meet and another --node-rank each."
        ) from error
    finally:
        logging.disable(logging.NOTSET)
    return 0


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Put back the handlers of signals, which the agent replaces and leaves so."""
    known = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")  # Windows has but the first two
    before = {number: signal.getsignal(number) for number in signal.Signals if number.name in known}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
