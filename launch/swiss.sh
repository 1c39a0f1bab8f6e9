#!/usr/bin/env bash
# The whole published experiment: each language, de+fr, all, the French curve of 250 to 4,000 sentences, the evaluation,
# the errors of the German run on German validation, and a sentence in four languages that its tagger, and that of all
# languages, tag.
#   bash launch/swiss.sh FOLDER [FLAGS of train.py, such as --model NAME --data NAME --lr RATE]
# What is printed is kept in FOLDER/report, with what evaluate.py writes: evaluation.md, validation.md, errors.md (losses by
# token and tag, kinds of errors, confusions, sentences of the highest loss), brackets.md (sentences with a bracket),
# tagged-de.txt, tagged-all.txt; report/validation/report.html shows the errors in a browser.
# Run again after an interruption it leaves alone what is finished, and goes on with what is not; where it trains a model,
# it makes all of the report again. NUM_PROCESSES=2 trains with that many (GPUs, or with ACCELERATE_USE_CPU=true CPU
# processes).
# Run on: 2 CPU cores, with the embedded encoder.
set -euo pipefail
folder=$1
shift
report=$folder/report
here=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}

. "$here/launch/forward.sh"

train() { # NAME FLAGS ...
    local name=$1
    shift
    [ -s "$folder/$name/metrics.json" ] && return 0
    rm -f "$report"/{evaluation,validation,errors,brackets}.md "$report"/tagged-{de,all}.txt # of other models
    run bash "$here/launch/spawn.sh" "${NUM_PROCESSES:-1}" python "$here/train.py" "$@" --output "$folder/$name" \
        --resume auto
    rm -rf "$folder/$name/checkpoints" # the run is finished
}

keep() { # FILE PROGRAM ...: what the program prints, which FILE keeps
    local file=$report/$1
    shift
    if [ ! -s "$file" ]; then
        mkdir -p "$report"
        run "$@" >"$file.unfinished"
        mv "$file.unfinished" "$file"
    fi
    cat "$file"
    echo
}

for language in de fr it en; do train "$language" "$@" --train-on "$language"; done
train de+fr "$@" --train-on de fr
train all "$@" --train-on de fr it en
for size in 250 500 1000 2000 4000; do train "fr-$size" "$@" --train-on fr --max-train-sentences "$size"; done

keep evaluation.md python "$here/evaluate.py" "$folder"/{de,fr,it,en,de+fr,all,fr-250,fr-500,fr-1000,fr-2000,fr-4000} \
    --languages de fr it en --output "$report"
keep validation.md python "$here/evaluate.py" "$folder/de" --languages de --splits validation --report \
    --output "$report/validation"
losses=$report/validation/token_losses.parquet
keep errors.md python -m ner errors "$losses" --by token tag --kinds --confusion --sentences total
keep brackets.md python -m ner errors "$losses" --containing "("
for name in de all; do
    keep "tagged-$name.txt" python -m ner tag "$folder/$name" --table --text \
        "Jeff Dean ist ein Informatiker bei Google in Kalifornien" \
        "Jeff Dean est informaticien chez Google en Californie" \
        "Jeff Dean è un informatico di Google in California" \
        "Jeff Dean is a computer scientist at Google in California"
done
echo "$folder: $((SECONDS / 60)) min $((SECONDS % 60)) s in all" >&2
