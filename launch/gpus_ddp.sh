#!/usr/bin/env bash
# All GPUs of a machine, or NUM_GPUS of them, a copy of the model on each: bash launch/gpus_ddp.sh [FLAGS of train.py]
# --batch-size is the number of sentences of a step, over all GPUs together.
# Not run yet: the authors had no GPU. The same with two CPU processes (cpu2.sh) is tested.
cd "$(dirname "$0")/.." || exit 1
exec bash launch/spawn.sh gpus python train.py --resume auto "$@"
