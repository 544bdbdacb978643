#!/usr/bin/env bash
# Runs govulncheck in each module named, with the toolchain of go.work: the standard library that is looked at is the
# one that is developed with, however old the Go is that runs here. A finding fails the run.
# Where vuln.go.dev cannot be reached, the same entries come from the Go module proxy, whose golang.org/x/vulndb they are
# made of. A machine that can reach neither gets one line instead: that is no fault of the code.
set -euo pipefail

module=golang.org/x/vulndb@latest

# The outcome, for scripts/summary.sh.
outcome() { echo "$*" >.bin/vuln; }

skip() { echo "govulncheck: skipped: $1 cannot be reached" && outcome SKIPPED "$1 cannot be reached" && exit; }

# accepted MODULE OUTPUT: every finding in the output is in scripts/vulncheck.accepted.
accepted() {
  local ids id
  ids=$(grep -oE '^Vulnerability #[0-9]+: GO-[0-9]+-[0-9]+' <<<"$2" | awk '{print $3}')
  [[ -n $ids ]] || return 1
  for id in $ids; do grep -q "^$1 $id " scripts/vulncheck.accepted || return 1; done
  echo "govulncheck: $1: accepted, see scripts/vulncheck.accepted:" $ids
}

bound=$(command -v timeout >/dev/null && echo "timeout 300" || true) # macOS has no timeout

# scan MODULE [FLAG...]
scan() { GOTOOLCHAIN=$toolchain $bound "$PWD/.bin/govulncheck" "${@:2}" -C "$1" ./... 2>&1; }

toolchain=$(awk '$1 == "toolchain" {print $2}' go.work)
GOTOOLCHAIN=$toolchain go version >/dev/null 2>&1 || skip "$toolchain"

database=() source=${GOVULNDB:-vuln.go.dev}
for dir in "$@"; do
  status=0
  output=$(scan "$dir" ${database[@]+"${database[@]}"}) || status=$?
  if [[ $output == *"fetching vulnerabilities"* && -z ${GOVULNDB:-} && ${#database[@]} == 0 ]]; then
    entries=$(cd / && $bound go mod download -json $module 2>/dev/null | awk -F '"' '$2 == "Dir" {print $4}') || true
    [[ -d $entries/data/osv ]] || skip "the vulnerability database"
    database=(-db "file://$entries/data/osv")
    source=${entries##*/}
    status=0
    output=$(scan "$dir" "${database[@]}") || status=$?
  fi
  if [[ $status == 124 || $output == *"fetching vulnerabilities"* ]]; then
    skip "the vulnerability database"
  fi
  echo "govulncheck: $dir with $toolchain and ${source}: $output"
  [[ $status == 0 ]] || accepted "$dir" "$output" || exit "$status"
done
outcome clean "$toolchain, entries of $source"
