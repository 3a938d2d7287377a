"""What the server counts, in the text format that Prometheus reads.

https://prometheus.io/docs/instrumenting/exposition_formats/: a counter only grows, a gauge is what it is now, and a
histogram counts the values up to each of its edges.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

TYPE = "text/plain; version=0.0.4"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    """Values, of which is kept how many are at most as large as each edge, and their sum."""

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = edges
        self._counts = [0] * (len(edges) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one more."""
        self._counts[bisect_left(self._edges, value)] += 1
        self._sum += value

    def lines(self, name: str) -> Iterable[str]:
        """As Prometheus reads them."""
        total = 0
        for edge, count in zip([*map(str, self._edges), "+Inf"], self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{edge}"}} {total}'
        yield f"{name}_sum {self._sum}"
        yield f"{name}_count {total}"


class Counts:
    """Everything that is counted, by any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._images: Counter[str] = Counter({"answered": 0, "refused": 0})
        self._seconds = Histogram(_SECONDS)
        self._batches = Histogram(_IMAGES)

    def request(self, path: str, status: int) -> None:
        """A request was answered."""
        with self._lock:
            self._requests[path, status] += 1

    def prediction(self, seconds: float) -> None:
        """A prediction was answered, well or not, so long after it was asked for."""
        with self._lock:
            self._seconds.observe(seconds)

    def images(self, *, answered: int, refused: int) -> None:
        """Images were predicted, or turned out to be none."""
        with self._lock:
            self._images["answered"] += answered
            self._images["refused"] += refused

    def batch(self, size: int) -> None:
        """So many images went through the network together."""
        with self._lock:
            self._batches.observe(size)

    def text(self, *, queue: int, facts: Mapping[str, str]) -> str:
        """All of it; `queue`: images that are waited for now; `facts` stand as they are."""
        with self._lock:
            requests = [
                f'convscope_requests_total{{path="{path}",status="{status}"}} {count}'
                for (path, status), count in sorted(self._requests.items())
            ]
            images = [f'convscope_images_total{{result="{result}"}} {count}' for result, count in self._images.items()]
            seconds = list(self._seconds.lines("convscope_prediction_seconds"))
            batches = list(self._batches.lines("convscope_batch_images"))
        words = ",".join(f'{name}="{_escaped(value)}"' for name, value in facts.items())
        parts = [
            ("convscope_requests_total", "counter", "Requests answered, by address and status.", requests),
            ("convscope_images_total", "counter", "Images predicted, or refused as no images.", images),
            ("convscope_prediction_seconds", "histogram", "From a prediction's request to its answer.", seconds),
            ("convscope_batch_images", "histogram", "Images that went through the network together.", batches),
            ("convscope_queue_images", "gauge", "Images waited for now.", [f"convscope_queue_images {queue}"]),
            ("convscope_model_info", "gauge", "What answers.", [f"convscope_model_info{{{words}}} 1"] if facts else []),
        ]
        lines = [
            line
            for name, kind, words, values in parts
            for line in (f"# HELP {name} {words}", f"# TYPE {name} {kind}", *values)
        ]
        return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
