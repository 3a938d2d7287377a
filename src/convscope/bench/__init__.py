"""How fast a finished network answers: each engine measured beside the others, and compared with the network itself."""

from convscope.bench.inference import bench_inference
from convscope.bench.results import Inference

__all__ = ["Inference", "bench_inference"]
