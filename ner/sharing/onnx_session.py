"""An ONNX file as a model: onnxruntime on the CPU behind what `ner.evaluation.inference` calls."""

import importlib.util
import os
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import TokenClassifierOutput

# Since 1.29, its import makes an identifier of the machine and starts an uploader, before anything can be called.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def missing() -> str:
    """Which packages are to be installed before anything of ONNX works, "" if all are there."""
    names = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not names:
        return ""
    return f"{', '.join(names)}: not installed; pip install {' '.join(names)}, or the extra: pip install -e '.[onnx]'"


class OnnxModel(nn.Module):
    """A token classifier in a file, on as many threads as torch has."""

    def __init__(self, file: Path) -> None:
        """Loads the file."""
        import onnxruntime

        super().__init__()
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> TokenClassifierOutput:
        """input_ids, attention_mask: int64 [rows, tokens] on the CPU. Its logits are float32 [rows, tokens, tags]."""
        inputs = {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()}
        return TokenClassifierOutput(logits=torch.from_numpy(self.session.run(["logits"], inputs)[0]))
