"""What a benchmark runs on: the processor, what torch uses of it, and the GPU."""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from tests.bench.programs import run

CPU_INFO = Path("/proc/cpuinfo")
INSTRUCTION_SETS = "avx2 avx_vnni avx512f avx512_vnni avx512_bf16 avx512_fp16 amx_bf16 amx_int8".split()


def machine() -> dict[str, Any]:
    """Of the CPU, and of the GPU if there is one: another process asks, since a CUDA context here would take memory."""
    lines = CPU_INFO.read_text(encoding="utf-8").splitlines() if CPU_INFO.exists() else []
    facts: dict[str, list[str]] = {}
    for name, _, value in (line.partition(":") for line in lines):
        facts.setdefault(name.strip(), []).append(value.strip())
    found = {
        "cpu": facts.get("model name", ["a CPU"])[0],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "has": [name for name in INSTRUCTION_SETS if name in facts.get("flags", [""])[0].split()],
        "torch_uses": used(torch.backends.cpu.get_cpu_capability(), torch.cpu.get_capabilities()),
        "torch": torch.__version__,
    }
    return {**found, **(run(["-m", "tests.bench.machine"]).last_line if torch.cuda.is_available() else {})}


def used(vectors: str, capabilities: Any) -> list[str]:
    """What torch computes with. vectors: of its own kernels, such as AVX2; capabilities: of torch.cpu.

    Products in bf16 are oneDNN's, which takes what there is, if the kernels are not held to less
    (ATEN_CPU_CAPABILITY).
    """
    units = [name for name in ("avx512_bf16", "amx_bf16") if capabilities.get(name)]
    return [vectors.lower(), *(units if vectors.lower() != "default" else [])]


def described(found: dict[str, Any]) -> str:
    """The machine on one line."""

    def names(given: Collection[str]) -> str:
        return ", ".join(given) or "none of those that count"

    gpu = f"{found['gpu']} ({found['gpu_megabytes']:,} MB, CUDA {found['cuda']}); " if "gpu" in found else ""
    return (
        f"{gpu}{found['cores']} cores of {found['cpu']}, {found['threads']} threads; it has {names(found['has'])}; "
        f"torch {found['torch']} uses {names(found['torch_uses'])}"
    )


def main() -> None:
    """Prints what the GPU is."""
    properties = torch.cuda.get_device_properties(0)
    megabytes = properties.total_memory // 2**20
    print(json.dumps({"gpu": properties.name, "gpu_megabytes": megabytes, "cuda": torch.version.cuda}))


if __name__ == "__main__":
    main()
