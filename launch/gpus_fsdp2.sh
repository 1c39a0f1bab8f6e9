#!/usr/bin/env bash
# All GPUs of a machine, or NUM_GPUS of them, the model sharded over them (FSDP2), for encoders that do not fit on one:
# bash launch/gpus_fsdp2.sh [FLAGS of train.py]
# Not run yet: the authors had no GPU, and Accelerate shards on GPUs only. The same settings are tested with two CPU
# processes, through an Accelerator that shards there (tests/training/test_distributed.py).
cd "$(dirname "$0")/.." || exit 1
export ACCELERATE_USE_FSDP=true FSDP_VERSION=2 FSDP_AUTO_WRAP_POLICY=TRANSFORMER_BASED_WRAP
export FSDP_RESHARD_AFTER_FORWARD=true FSDP_STATE_DICT_TYPE=FULL_STATE_DICT
exec bash launch/spawn.sh gpus python train.py --resume auto "$@"
