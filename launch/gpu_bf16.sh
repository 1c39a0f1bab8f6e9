#!/usr/bin/env bash
# One GPU, bf16 (Ampere and later): bash launch/gpu_bf16.sh [FLAGS of train.py]
# Not run yet: the authors had no GPU.
cd "$(dirname "$0")/.." || exit 1
exec python train.py --mixed-precision bf16 --resume auto "$@"
