"""A GPU that is there and does not compute: said, with the reason."""

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from ner import runtime


@pytest.fixture(autouse=True)
def _nobody_asked_for_the_cpu(monkeypatch):
    for name in ("ACCELERATE_USE_CPU", "ACCELERATE_TORCH_DEVICE", "ACCELERATE_MIXED_PRECISION", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)


@pytest.fixture
def device(tmp_path):
    """What a driver makes in /dev."""
    file = tmp_path / "nvidia0"
    file.touch()
    return file


def old_driver() -> None:
    raise RuntimeError("The NVIDIA driver on your system is too old\n(found version 11040).")


def test_the_reason_is_the_build_or_what_cuda_says(device, monkeypatch):
    message = runtime.idle_gpu([device.with_name("none"), device])
    assert message
    assert message.startswith(f"{device} is an NVIDIA GPU, and the CPU computes: ")
    assert f"torch {torch.__version__} is a build without CUDA" in message
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", old_driver)
    message = runtime.idle_gpu([device])
    assert message
    assert "CUDA 13.0 does not start: The NVIDIA driver on your system is too old (found version 11040)." in message
    monkeypatch.setattr(torch.cuda, "init", lambda: None)  # it starts, and finds nothing
    assert "CUDA 13.0 does not start: it finds no GPU" in str(runtime.idle_gpu([device]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCELERATE_USE_CPU", "true"),
        ("ACCELERATE_USE_CPU", "1"),
        ("ACCELERATE_USE_CPU", "yes"),
        ("ACCELERATE_TORCH_DEVICE", "cpu"),
        ("CUDA_VISIBLE_DEVICES", ""),
        ("CUDA_VISIBLE_DEVICES", "-1"),
    ],
)
def test_who_asks_for_the_cpu_hears_nothing(device, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert runtime.idle_gpu([device]) is None


def test_where_there_is_none_or_it_computes_there_is_nothing_to_say(device, monkeypatch):
    assert runtime.idle_gpu([device.with_name("none")]) is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runtime.idle_gpu([device]) is None


def test_on_a_gpu_no_attention_is_planned_anew_for_each_shape(monkeypatch):
    class OnGpu(Accelerator):
        device = torch.device("cuda")

    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr(runtime, "Accelerator", OnGpu)
    was_enabled = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(True)
    try:
        runtime.start_accelerator("no")
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert torch.backends.cuda.mem_efficient_sdp_enabled()
    finally:
        torch.backends.cuda.enable_cudnn_sdp(was_enabled)


def test_the_accelerator_says_it_once(device, monkeypatch, messages):
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr(runtime, "NVIDIA", (device,))
    accelerator = runtime.start_accelerator("no")
    assert accelerator.device.type == "cpu"
    note = f"note: {device} is an NVIDIA GPU, and the CPU computes: "
    assert sum(message.startswith(note) for message in messages) == 1
