#!/usr/bin/env bash
# Starts a program as N processes on this machine, passes signals on to all of them, and ends with their status:
#   bash launch/spawn.sh N PROGRAM [ARGUMENT ...]
# N may be `gpus`: NUM_GPUS, else as many as torch can use, which CUDA_VISIBLE_DEVICES and parts of a GPU (MIG) decide.
# torchrun ends with status 1 whatever the processes say, and passes USR1 on with --signals-to-handle alone; accelerate
# launch with one process leaves it running when it is told to stop (tests/test_launch.py). Here TERM, HUP, INT and USR1
# reach each process; the status is 75 if they stopped with a checkpoint written (--resume auto goes on), else that of the
# first that failed, and then the others are killed.
# A second INT kills. Several machines: NUM_NODES, NODE_RANK, MASTER_ADDR and MASTER_PORT in the environment.
# Run on: 2 CPU cores, 1 and 2 processes.
set -u
n=${1-}
shift
if [ "$n" = gpus ]; then
    n=${NUM_GPUS:-}
    # A driver may hang: the alarm ends Python after 2 minutes.
    if [ -z "$n" ] && ! n=$(python -c 'import signal; signal.alarm(120); import torch; print(torch.cuda.device_count())'); then
        echo "spawn.sh: python could not count the GPUs (torch.cuda.device_count()): set NUM_GPUS" >&2
        exit 2
    fi
fi
if ! [[ $n =~ ^[1-9][0-9]*$ ]]; then
    echo "spawn.sh: ${n:-nothing}: give at least 1 process (of GPUs: NUM_GPUS, else torch.cuda.device_count())" >&2
    exit 2
fi
if ! [[ ${NUM_NODES:-1} =~ ^[1-9][0-9]*$ ]]; then
    echo "spawn.sh: NUM_NODES=$NUM_NODES: give at least 1 machine" >&2
    exit 2
fi
if (($# == 0)); then
    echo "spawn.sh: no program: bash launch/spawn.sh N PROGRAM [ARGUMENT ...]" >&2
    exit 2
fi
if ((n == 1 && ${NUM_NODES:-1} == 1)); then exec "$@"; fi
if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
    echo "spawn.sh: several processes need bash 4.4 or later, and this is $BASH_VERSION; or use torchrun" >&2
    exit 2
fi
export MASTER_ADDR=${MASTER_ADDR:-127.0.0.1}
if [ -z "${MASTER_PORT:-}" ]; then
    MASTER_PORT=$("$(command -v python3 || command -v python)" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')
fi
export MASTER_PORT WORLD_SIZE=$((${NUM_NODES:-1} * n)) LOCAL_WORLD_SIZE=$n OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

pids=()
all_started=
asked= # what came before: one that is not on the list yet would never hear of it
send() {
    if [ -z "$all_started" ]; then
        asked=$1
        return
    fi
    for pid in "${pids[@]}"; do kill -"$1" "$pid" 2>/dev/null; done
}
interrupted=
interrupt() { # background processes ignore INT until they take it themselves
    if [ "$interrupted" ]; then send KILL; else send TERM; fi
    interrupted=yes
}
trap 'send TERM' TERM HUP
trap 'send USR1' USR1
trap interrupt INT
for ((i = 0; i < n; i++)); do
    RANK=$((${NODE_RANK:-0} * n + i)) LOCAL_RANK=$i "$@" &
    pids+=($!)
done
all_started=yes
if [ "$asked" ]; then send "$asked"; fi

status=0
while ((${#pids[@]})); do
    wait -n "${pids[@]}" 2>/dev/null # any of them, or a signal
    left=()
    for pid in "${pids[@]}"; do
        if kill -0 "$pid" 2>/dev/null; then
            left+=("$pid")
            continue
        fi
        wait "$pid"
        code=$?
        if ((code != 0 && code != 75)); then send KILL; fi
        if ((status == 0 || (status == 75 && code != 0))); then status=$code; fi
    done
    pids=("${left[@]}")
done
exit "$status"
