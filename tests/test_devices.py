"""A GPU that is there and does not compute: said, with the reason."""

import os

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from ner import runtime
from ner.errors import InputError
from ner.tagging import tagger
from ner.tagging.tagger import Tagger
from tests.taggers import write_tagger


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


@pytest.fixture
def on_gpu(monkeypatch):
    """An accelerator that says that it is on a GPU; settings of this process are put back."""

    class OnGpu(Accelerator):
        device = torch.device("cuda")

    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr(runtime, "Accelerator", OnGpu)
    before = torch.backends.cuda.cudnn_sdp_enabled(), torch.get_num_threads()
    torch.backends.cuda.enable_cudnn_sdp(True)
    yield
    torch.backends.cuda.enable_cudnn_sdp(before[0])
    torch.set_num_threads(before[1])


def test_on_a_gpu_no_attention_is_planned_anew_for_each_shape(on_gpu):
    runtime.start_accelerator("no")
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    assert torch.backends.cuda.mem_efficient_sdp_enabled()


def test_a_tagger_chooses_attention_too(thin_encoder, tmp_path, monkeypatch):
    """`ner api`, `ner serve` and a program of one's own never make an accelerator."""
    chosen: list[torch.device] = []
    monkeypatch.setattr(tagger, "choose_attention", chosen.append)
    Tagger.from_pretrained(write_tagger(tmp_path, thin_encoder), precision="no")
    assert chosen == [torch.device("cpu")]


def test_with_a_gpu_what_the_cpu_does_before_is_done_on_all_cores(on_gpu, monkeypatch):
    """Of the one thread that `accelerate launch` leaves."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(5), raising=False)
    runtime.start_accelerator("no")
    assert torch.get_num_threads() == 5


def test_fsdp_of_version_1_is_refused(monkeypatch):
    class Sharded(Accelerator):
        distributed_type = DistributedType.FSDP
        is_fsdp2 = False

    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr(runtime, "Accelerator", Sharded)
    with pytest.raises(InputError, match="FSDP of version 1 is not supported; accelerate launch --fsdp_version 2"):
        runtime.start_accelerator("no")


def test_the_accelerator_says_it_once(device, monkeypatch, messages):
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr(runtime, "NVIDIA", (device,))
    accelerator = runtime.start_accelerator("no")
    assert accelerator.device.type == "cpu"
    note = f"note: {device} is an NVIDIA GPU, and the CPU computes: "
    assert sum(message.startswith(note) for message in messages) == 1
