#!/usr/bin/env bash
# Runs govulncheck in each module named. A finding fails the run. A machine that cannot reach the vulnerability database
# (no network, or one that answers nothing) gets one line instead: that is no fault of the code.
set -euo pipefail

govulncheck=$PWD/.bin/govulncheck
bound=$(command -v timeout >/dev/null && echo "timeout 300" || true) # macOS has no timeout
for module in "$@"; do
  status=0
  output=$($bound "$govulncheck" -C "$module" ./... 2>&1) || status=$?
  if [[ $status == 124 || $output == *"fetching vulnerabilities"* ]]; then
    echo "govulncheck: skipped: the vulnerability database (${GOVULNDB:-https://vuln.go.dev}) cannot be reached"
    exit
  fi
  echo "govulncheck: $module: $output"
  [[ $status == 0 ]] || exit "$status"
done
