# What has to hold, for scripts on a copy of this host: a line for each thing that holds, and the end at the first that does not. What a command
# prints is in the file `output` until the next one.

holds() {
    local what=$1
    shift
    if ! "$@" > next 2>&1; then
        echo "FAILED $what: $*"
        tail -n 40 next output
        exit 1
    fi
    echo "ok $what"
    # What is looked through is what was said before.
    [ "$1" = says ] || mv next output
}
not() { ! "$@"; }
says() { grep -Eq -- "$1" output; }
