# Sourced by scripts that start several programs in turn: `run PROGRAM ...` starts one, passes TERM, HUP, INT (both as TERM) and
# USR1 on to it, and ends the script with its status if that is not 0, or with 75 if a signal came in between.
# Run on: 2 CPU cores.
running=
stopping=
for name in TERM HUP INT USR1; do
    # shellcheck disable=SC2064  # the signal's name now, the process then
    trap "stopping=yes; [ -z \"\$running\" ] || kill -${name/#[IH]*/TERM} \"\$running\" 2>/dev/null || true" "$name"
done

run() {
    if [ "$stopping" ]; then exit 75; fi
    "$@" &
    running=$!
    local status=0
    while :; do
        wait "$running" && status=0 || status=$?
        kill -0 "$running" 2>/dev/null || break # else it was a signal that ended the waiting
    done
    running=
    if ((status)); then exit "$status"; fi
    if [ "$stopping" ]; then exit 75; fi
}
