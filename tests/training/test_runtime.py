"""Device, precision, and the optimizer's step."""

import subprocess
import sys

import pytest
import torch
from torch import nn, optim

from convscope.errors import UserError
from convscope.training.runtime import Runtime, choose_device, choose_precision


def test_auto_takes_cuda_then_mps_then_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    # R-E6
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device() == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device() == torch.device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device() == torch.device("cpu")


@pytest.mark.parametrize("name", ["tpu7", "cuda:99", ""])
def test_missing_device_is_named_with_the_remedy(name: str) -> None:
    with pytest.raises(UserError, match=f"no device '{name}' here.*doctor environment"):
        choose_device(name)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": True, "cpu_name": "Intel Xeon"}, torch.bfloat16),
        ({"avx512_bf16": True, "cpu_name": "Intel Xeon"}, torch.float32),
        ({"avx512_bf16": True, "cpu_name": "AMD EPYC"}, torch.bfloat16),
        ({"avx2": True}, torch.float32),
    ],
)
def test_auto_precision_is_bfloat16_only_where_the_cpu_gains_by_it(
    capabilities: dict[str, object], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_precision("auto", torch.device("cpu")) == expected
    assert choose_precision("float32", torch.device("cpu")) == torch.float32
    assert choose_precision("auto", torch.device("mps")) == torch.float32


def test_threads_are_those_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        Runtime.choose("cpu", "float32", before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_prepare_puts_weights_in_channels_last_order() -> None:
    model = Runtime(torch.device("cpu")).prepare(nn.Conv2d(3, 8, 3))
    assert model.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("values", "images"), [(49_152, 32), (131_072, 12)])
def test_batches_at_which_onednn_divides_by_zero(values: int, images: int) -> None:
    """In a process of its own, because that would be its end."""
    script = f"""
import torch
from convscope.training.runtime import Runtime
layer = Runtime(torch.device("cpu"), torch.bfloat16).prepare(torch.nn.Linear({values}, 3))
images = torch.rand({images}, {values})
with torch.autocast("cpu", torch.bfloat16):
    logits = layer(images)
logits.float().square().sum().backward()
assert logits.shape == ({images}, 3) and layer.weight.grad.isfinite().all()
torch.testing.assert_close(logits.float(), layer(images), atol=0.02, rtol=0.02)
assert list(layer.state_dict()) == ["weight", "bias"]
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_computes_in_the_runtimes_precision(dtype: torch.dtype) -> None:
    runtime = Runtime(torch.device("cpu"), dtype)
    with runtime.autocast():
        assert nn.Linear(4, 4)(torch.ones(1, 4)).dtype == dtype


@pytest.mark.parametrize("clip_norm", [None, 0.5, 100.0])
def test_step_answers_the_norm_before_clipping_and_steps_by_the_clipped_gradient(clip_norm: float | None) -> None:
    weights = nn.Parameter(torch.tensor([1.0, 1.0]))
    optimizer = optim.SGD([weights], lr=1.0)
    loss = (weights * torch.tensor([3.0, 4.0])).sum()  # gradient (3, 4), of norm 5
    runtime = Runtime(torch.device("cpu"))
    runtime.backward(loss)
    norm = runtime.step(optimizer, clip_norm=clip_norm)
    assert norm.item() == pytest.approx(5.0)
    length = (torch.ones(2) - weights.detach()).norm().item()
    assert length == pytest.approx(0.5 if clip_norm == 0.5 else 5.0, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_gradients_add_up_until_they_are_cleared(dtype: torch.dtype) -> None:
    # float16 scales the loss up, each part of it, and the sum down again, once.
    weights = nn.Parameter(torch.tensor([1.0, 1.0]))
    optimizer = optim.SGD([weights], lr=1.0)
    runtime = Runtime(torch.device("cpu"), dtype)
    assert runtime.scaler.is_enabled() == (dtype == torch.float16)
    for _ in range(2):
        optimizer.zero_grad()
        runtime.backward(weights[0] * 3)
        runtime.backward(weights[1] * 8, weight=0.5)
        assert runtime.step(optimizer).item() == pytest.approx(5.0)
    assert weights.tolist() == pytest.approx([-5.0, -7.0])


def test_random_state_round_trip_gives_the_same_numbers() -> None:
    runtime = Runtime(torch.device("cpu"))
    state = runtime.random_state()
    first = torch.rand(3)
    runtime.restore_random_state(state)
    assert torch.equal(torch.rand(3), first)


def test_a_gpu_gets_its_fast_ways_and_the_cpu_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from convscope.training import runtime

    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    before = torch.get_float32_matmul_precision()
    try:
        Runtime.choose("cpu", "float32")
        assert (torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()) == (False, before)
        monkeypatch.setattr(runtime, "choose_device", lambda name: torch.device("cuda"))
        chosen = Runtime.choose("cuda", "float32")
        assert (torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()) == (True, "high")
        assert chosen.check_every > 1  # each look at the loss makes the host wait
    finally:
        torch.set_float32_matmul_precision(before)
