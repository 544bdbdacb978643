#!/usr/bin/env bash
# Runs the short tests of the packages that talk to PostgreSQL in each of pgx's modes, and ends with a line for each mode
# and package.
# usage: modes.sh [MODE...] [PACKAGE...], for example modes.sh simple_protocol ./registry. Default: all of them.
set -euo pipefail
cd "$(dirname "$0")/.."

modes=() packages=()
for argument in "$@"; do
  if [[ $argument == ./* ]]; then packages+=("$argument"); else modes+=("$argument"); fi
done
[[ ${#modes[@]} == 0 ]] && modes=(cache_statement cache_describe describe_exec exec simple_protocol)
if [[ ${#packages[@]} == 0 ]]; then
  mapfile -t packages < <(grep -rl --include='*_test.go' --exclude-dir=bench 'pgtest\.Main(' . | xargs -n 1 dirname | sort -u)
fi
unset PGTENANCY_TESTS
log=$(mktemp)
trap 'rm -f "$log" "$log.all"' EXIT
status=0
for mode in "${modes[@]}"; do
  PGTENANCY_EXEC_MODE=$mode go test -p 2 -count=1 -timeout=20m "${packages[@]}" 2>&1 | tee "$log" || status=1
  awk -v m="$mode" '($1 == "ok" || $1 == "FAIL") && NF > 1 {print m, $0}' "$log" >>"$log.all"
done
echo
cat "$log.all"
exit "$status"
