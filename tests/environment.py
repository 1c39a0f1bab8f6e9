"""The environment of the suite, set when this is imported: before anything else, which may read it.

What the developer has set changes no test, the CPU alone computes, nothing is asked of a network, and the home folder
and every cache, of subprocesses too, is in a folder that goes at the end.
"""

import os
import signal
import tempfile
from pathlib import Path

THEIRS = ("ACCELERATE_", "FSDP_", "GRADIO_", "HF_", "MLFLOW_", "NER_", "SLURM_", "TORCHELASTIC_", "TRACKIO_", "WANDB_")
OURS = {
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "NO_COLOR",
    "NODE_RANK",
    "NUM_GPUS",
    "NUM_NODES",
    "NUM_PROCESSES",
    "OMP_NUM_THREADS",
    "RANK",
    "WORLD_SIZE",
}
FOLDERS = """
    GRADIO_TEMP_DIR HF_DATASETS_CACHE HF_HOME HOME HYPOTHESIS_STORAGE_DIRECTORY MPLCONFIGDIR TORCHINDUCTOR_CACHE_DIR
    TRACKIO_DIR TRITON_CACHE_DIR WANDB_CACHE_DIR WANDB_CONFIG_DIR WANDB_DATA_DIR XDG_CACHE_HOME
""".split()
FOLDER = "FOLDER_OF_THE_TESTS"  # where it is set, a test started this program, in an environment that it chose
WORKER = "WORKER_OF_THE_TESTS"  # whose folder it is: each worker of pytest-xdist has its own

# Programs that tests start inherit what is ignored: of nohup, of a shell's `&`, of a worker.
for interrupt, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(interrupt) == signal.SIG_IGN:
        signal.signal(interrupt, handler)

if os.environ.get(WORKER) != (worker := os.environ.get("PYTEST_XDIST_WORKER", "")):
    for name in [name for name in os.environ if name.startswith(THEIRS) or name in OURS]:
        del os.environ[name]
    whole = tempfile.TemporaryDirectory(prefix="ner-tests-")  # it goes with this process
    os.environ |= {name: f"{whole.name}/{name.lower()}" for name in FOLDERS}
    os.environ |= {
        FOLDER: whole.name,
        WORKER: worker,
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
    }
    Path(os.environ["HOME"]).mkdir()
CACHES = Path(os.environ[FOLDER])
