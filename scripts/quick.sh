#!/usr/bin/env bash
# Runs the tests that need no server and no browser: all of the packages whose tests import neither pgtest nor devpg,
# and of the others those that run in a testing/synctest bubble, where no server can be reached.
# usage: quick.sh
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t alone < <(go list -f '{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}} ' ./... |
  awk '/_test|testing / && !/internal\/(pgtest|devpg) / {print $1}')
go test "${alone[@]}"

grep -rlE --include='*_test.go' --exclude-dir={examples,bench} 'synctest\.Test\(' . | xargs -n 1 dirname | sort -u |
  while read -r dir; do
    names=$(awk '/^func Test/ {name = $2; sub(/\(.*/, "", name)} /synctest\.Test\(/ {print name}' "$dir"/*_test.go |
      grep -E '^Test' | sort -u | paste -sd '|')
    [[ -z $names ]] || go test -run="^($names)\$" "$dir"
  done
