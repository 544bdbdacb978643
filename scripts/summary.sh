#!/usr/bin/env bash
# The last line of make test: checks what no tool of its own does, and prints what every check found as a table
# (S16 of docs/experiments.md). What failed before has ended the run, so a line says "clean" unless a check was skipped.
# usage: summary.sh MODULE...
set -euo pipefail

row() { printf '%-5s %-8s %-38s %s\n' S16 "$@"; }

# at_least WANT HAVE: versions, compared as such.
at_least() { [[ $(printf '%s\n' "$@" | sort -V | head -n 1) == "$1" ]]; }

fuzzers() { grep -roE --include='*_test.go' '^func Fuzz\w+' . | sed 's|/[^/]*:func |/|'; }

# The inputs that found new paths are in the repository for every parser that reads what a stranger may send.
corpora=0
for fuzz in authn/Fuzz{Claims,ParseHash,Verify} middleware/FuzzSubdomain registry/Fuzz{ParseEmail,Row} tenancy/FuzzParseID; do
  inputs=$(find "${fuzz%/*}/testdata/fuzz/${fuzz##*/}" -type f 2>/dev/null | wc -l)
  ((inputs > 0)) || { echo "summary: $fuzz has no corpus in the repository" && exit 1; }
  ((corpora += inputs))
done

# pgx 5.12.0 has two security fixes; jwt 5.3.1 is the version whose traps authn's tests know.
for module in "$@"; do
  while read -r path version; do
    case $path in
      github.com/jackc/pgx/v5) want=v5.12.0 ;;
      github.com/golang-jwt/jwt/v5) want=v5.3.1 ;;
      *) continue ;;
    esac
    at_least "$want" "$version" || { echo "summary: $module: $path $version is older than $want" && exit 1; }
  done < <(GOWORK=off go -C "$module" list -m all)
done

echo
row clean "go vet" "$*"
row clean "golangci-lint: staticcheck, gosec" "$(grep -rhoE '//nolint:gosec // .+' --include='*.go' . | wc -l) exceptions, each with its reason"
race="-race "
scripts/ensure.sh has compiler || race=""
row clean "go test $race-shuffle=on" "$(cat .bin/coverage)"
[[ -n $race ]] || row skipped "race detector" "needs a C compiler"
scripts/ensure.sh has chromium || row skipped "tests in a browser" "need Chromium"
scripts/ensure.sh has pgbouncer || row skipped "tests with a transaction pooler" "need PgBouncer"
row "$(cut -d ' ' -f 1 .bin/vuln)" govulncheck "$(cut -d ' ' -f 2- .bin/vuln)"
row clean "fuzz tests, run on their seeds" "$(fuzzers | wc -l), $corpora inputs in testdata"
row clean "dependencies with a floor" "pgx $(go list -m -f '{{.Version}}' github.com/jackc/pgx/v5), jwt $(go list -m -f '{{.Version}}' github.com/golang-jwt/jwt/v5)"
