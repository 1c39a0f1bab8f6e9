#!/usr/bin/env bash
# Two processes on CPUs, to try a run of several: bash launch/cpu2.sh [FLAGS of train.py]
# Run on: 2 CPU cores; `make torture` trains with 2 processes too.
cd "$(dirname "$0")/.." || exit 1
export ACCELERATE_USE_CPU=true
exec bash launch/spawn.sh 2 python train.py --resume auto "$@"
