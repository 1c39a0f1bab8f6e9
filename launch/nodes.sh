#!/usr/bin/env bash
# Several machines, all their GPUs, run folder and data on a disk that all of them see. On each machine:
#   NUM_NODES=2 NODE_RANK=0 MASTER_ADDR=first.machine MASTER_PORT=29500 bash launch/nodes.sh [FLAGS of train.py]
# NUM_PROCESSES: of a machine, instead of one for each GPU; with ACCELERATE_USE_CPU=true they compute on its CPU.
# Run on: three machines that were network namespaces of one, a process on a CPU each (tests/stress/machines.py). No GPU.
cd "$(dirname "$0")/.." || exit 1
: "${NUM_NODES:?}" "${NODE_RANK:?}" "${MASTER_ADDR:?}" "${MASTER_PORT:?}"
exec bash launch/spawn.sh "${NUM_PROCESSES:-gpus}" python train.py --resume auto "$@"
