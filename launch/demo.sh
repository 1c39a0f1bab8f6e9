#!/usr/bin/env bash
# The main job in small, with no network: an embedded corpus in four languages, a small encoder with random weights,
# a model for each training set, the F1 matrix over all languages, and a tagged sentence.
# bash launch/demo.sh [FOLDER]. With two cores (and bash 4.4) two models are trained at a time; what they print is in
# FOLDER/logs. Run on: 2 CPU cores.
set -euo pipefail
folder=${1:-demo}
cd "$(dirname "$0")/.."
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
. launch/forward.sh

cores=$(nproc 2>/dev/null || echo 1)
if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then cores=1; fi

run python -m ner demo "$folder"
mkdir -p "$folder/logs"
# The longest first, and in between those that fit beside it.
for languages in "de fr it en" de fr "de fr" it en; do
    train=(python train.py --model "$folder/encoder" --data "$folder/corpus")
    # shellcheck disable=SC2206  # one argument for each language
    train+=(--train-on $languages --output "$folder/runs/{train_on}" --overwrite --mixed-precision no)
    train+=(--epochs 10 --batch-size 32 --lr 2e-3 --warmup 0.1 --evaluate-every 5e)
    if ((cores == 1)); then
        run "${train[@]}"
        continue
    fi
    log="$folder/logs/${languages// /+}.txt"
    echo "training on $languages; progress is in $log"
    # As many threads as one model alone has, because their number is in the last digits of the weights. Threads that
    # wait must sleep: by default they keep their core busy, and two programs take several times as long as one.
    start "$log" env OMP_WAIT_POLICY=passive "${train[@]}"
    finish 1
done
finish
run python evaluate.py "$folder"/runs/* --languages de fr it en --output "$folder/report" --mixed-precision no
echo
run python -m ner tag "$folder/runs/de+fr+it+en" --text "Claudia Meier arbeitet bei Bank Helva in Genf."
