#!/usr/bin/env bash
# One GPU, fp16 (GPUs without bf16): bash launch/gpu_fp16.sh [FLAGS of train.py]
# Not run yet: no GPU was at hand. fp16 scales the loss, and reads back from the GPU at each step whether that held.
cd "$(dirname "$0")/.." || exit 1
exec python train.py --mixed-precision fp16 --resume auto "$@"
