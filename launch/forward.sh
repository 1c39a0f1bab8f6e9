# Sourced by scripts that start several programs:
#   run PROGRAM ...          starts one and waits for it
#   start FILE PROGRAM ...   starts one beside those that run; its output goes to FILE, the last line is shown at its end
#   finish [N]               waits until N programs run, or none; N above 0 needs bash 4.4 or later
# TERM, HUP, INT (both as TERM) and USR1 are passed on to all that run. The script ends with 75 if such a signal came in
# between, or with the status of the first program that failed; the others are told to stop then, and waited for.
# Run on: 2 CPU cores.
running=()
files=() # of their output; empty: the terminal
stopping=
send() {
    local pid
    for pid in ${running[@]+"${running[@]}"}; do kill -"$1" "$pid" 2>/dev/null || true; done
}
for name in TERM HUP INT USR1; do
    # shellcheck disable=SC2064  # the signal's name now, the processes then
    trap "stopping=yes; send ${name/#[IH]*/TERM}" "$name"
done

run() {
    start "" "$@"
    finish
}

start() {
    local file=$1
    shift
    if [ "$stopping" ]; then finish; fi
    if [ "$file" ]; then "$@" >"$file" 2>&1 & else "$@" & fi
    running+=($!)
    files+=("$file")
    if [ "$stopping" ]; then send TERM; fi # the signal came before this process was in the list
}

finish() {
    local allowed=${1:-0} failed=0
    while ((${#running[@]} > allowed)); do
        collect
        if ((failed)) && [ -z "$stopping" ]; then
            stopping=yes
            send TERM
        fi
        if [ "$stopping" ]; then allowed=0; fi
        if ((${#running[@]} <= allowed)); then break; fi
        # Until a program ends, or a signal comes.
        if ((${#running[@]} == 1)); then wait "${running[0]}" || true; else wait -n "${running[@]}" || true; fi
    done
    if ((failed)); then exit "$failed"; fi
    if [ "$stopping" ]; then exit 75; fi
}

collect() { # takes those that have ended off the list; sets failed
    local i code left=() outputs=() # the list stays whole until then: a signal may come at any time, and goes to all on it
    for i in "${!running[@]}"; do
        if kill -0 "${running[i]}" 2>/dev/null; then
            left+=("${running[i]}")
            outputs+=("${files[i]}")
            continue
        fi
        code=0
        wait "${running[i]}" || code=$?
        if [ "$stopping" ] && ((code == 143 || code == 138)); then code=75; fi # it had not begun to listen
        if ((code)) && ((failed == 0 || failed == 75)); then failed=$code; fi
        show "${files[i]}" "$code"
    done
    running=(${left[@]+"${left[@]}"})
    files=(${outputs[@]+"${outputs[@]}"})
}

show() { # the last line of a program's output, or more of it if it failed
    if [ -z "$1" ]; then return; fi
    if (($2 == 0 || $2 == 75)); then tail -n 1 "$1"; else
        echo "status $2, $1:" >&2
        tail -n 20 "$1" >&2
    fi
}
