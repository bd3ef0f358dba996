#!/bin/sh
# The first program of a guest, under tini: keeps the guest agent running, and when the host asks the
# guest to stop (SIGTERM) has every process end, then ends itself, which ends the guest.
# $1: seconds that the processes get.

export PYTHONPATH=/opt/dbaas

others() {
    for process in /proc/[0-9]*; do
        case ${process#/proc/} in
        1 | $$) ;;
        *) return 0 ;;
        esac
    done
    return 1
}

stop() {
    trap '' TERM
    left=$(($1 * 20))
    while others && [ "$left" -gt 0 ]; do
        # again every second: somebody may have started something meanwhile
        [ $((left % 20)) -eq 0 ] && kill -s TERM -- -1
        left=$((left - 1))
        sleep 0.05
    done
    exit 0
}

# shellcheck disable=SC2064  # the seconds are known now
trap "stop $1" TERM

while :; do
    python3 -m dbaas.guestagent &
    wait $!
    echo "guest agent ended with $?, starting it again"
    sleep 1 &
    wait $!
done
