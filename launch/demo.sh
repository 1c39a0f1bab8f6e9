#!/usr/bin/env bash
# The main job in small, with no network: an embedded corpus in four languages, a small encoder with random weights,
# a model for each training set, the F1 matrix over all languages, and a tagged sentence.
# bash launch/demo.sh [FOLDER]. Run on: 2 CPU cores.
set -euo pipefail
folder=${1:-demo}
cd "$(dirname "$0")/.."
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
. launch/forward.sh

run python -m ner demo "$folder"
for languages in de fr it en "de fr" "de fr it en"; do
    # shellcheck disable=SC2086  # one argument for each language
    run python train.py --model "$folder/encoder" --data "$folder/corpus" --train-on $languages \
        --output "$folder/runs/{train_on}" --overwrite \
        --epochs 10 --batch-size 32 --lr 2e-3 --warmup 0.1 --evaluate-every 5e --mixed-precision no
done
run python evaluate.py "$folder"/runs/* --languages de fr it en --output "$folder/report" --mixed-precision no
echo
run python -m ner tag "$folder/runs/de+fr+it+en" --text "Claudia Meier arbeitet bei Bank Helva in Genf."
