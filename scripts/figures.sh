#!/usr/bin/env bash
# Run the long form of tests, and print the figures that they report as a table.
# usage: [RACE=] figures.sh MINUTES PATTERN PACKAGE...
# With RACE empty it does without the race detector, for tests whose processes are killed before it could speak.
set -euo pipefail
minutes=$1 pattern=$2
shift 2
"${0%/*}/ensure.sh" has compiler || RACE=
figures=$(mktemp)
trap 'rm -f "$figures"' EXIT
status=0
PGTENANCY_TESTS=full PGTENANCY_FIGURES=$figures \
	go test -p 1 -count=1 ${RACE--race} -timeout="${minutes}m" -run="$pattern" "$@" || status=$?
echo
sort -V "$figures" | awk -F '\t' '{printf "%-5s %-7s %-58s %s\n", $1, $2, $3, $4}'
exit "$status"
