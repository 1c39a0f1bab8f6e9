#!/usr/bin/env bash
# One GPU, fp16 (GPUs without bf16): bash launch/gpu_fp16.sh [FLAGS of train.py]
# fp16 scales the loss. Whether a gradient overflowed stays on the GPU: fused AdamW skips the step there.
# Not run yet: the authors had no GPU.
cd "$(dirname "$0")/.." || exit 1
exec python train.py --mixed-precision fp16 --resume auto "$@"
