#!/usr/bin/env bash
# All GPUs of a machine, or NUM_GPUS of them, a copy of the model on each: bash launch/gpus_ddp.sh [FLAGS of train.py]
# --batch-size stays the sentences of a step over all of them. Not run yet: no GPU was at hand; the same with two
# CPU processes (cpu2.sh) is tested.
cd "$(dirname "$0")/.." || exit 1
exec bash launch/spawn.sh gpus python train.py --resume auto "$@"
