#!/usr/bin/env bash
# Makes sure that what the tests and the demo need is on this machine, as far as it may.
# usage: ensure.sh make|postgres|pgbouncer|chromium|compiler    install it, or say what is left out without it
#        ensure.sh has NAME                                     say nothing, and fail if it is missing
#
# It installs Debian's package when it may (root, apt-get). PostgreSQL is never missing: internal/devpg fetches a
# prebuilt one. Without PgBouncer, Chromium or a C compiler the tests that need it are left out, and a line says so;
# where the environment has CI, it fails instead.
set -euo pipefail

has_postgres() {
  [[ -n "${DATABASE_URL:-}" ]] && return
  local dir
  # The same places as internal/devpg.
  for dir in "$(dirname "$(command -v initdb || echo /nowhere/initdb)")" "$(pg_config --bindir 2>/dev/null || true)" \
    /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
    /usr/local/pgsql/bin /Applications/Postgres.app/Contents/Versions/*/bin; do
    [[ -x "$dir/initdb" && -x "$dir/postgres" ]] && return
  done
  return 1
}

# internal/devpg has pinned builds for these.
has_prebuilt() { [[ "$(uname -sm)" =~ ^(Linux\ (x86_64|aarch64)|Darwin\ (x86_64|arm64))$ ]]; }

has_chromium() {
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable headless-shell chrome; do
    command -v "$name" >/dev/null && return
  done
  [[ -d "/Applications/Google Chrome.app" || -d "/Applications/Chromium.app" ]]
}

# The same places as internal/devpg.
has_pgbouncer() { command -v pgbouncer >/dev/null || [[ -x /usr/sbin/pgbouncer || -x /opt/homebrew/bin/pgbouncer ]]; }

has_make() { command -v make >/dev/null; }

has_compiler() { command -v "$(go env CC)" >/dev/null; }

if [[ ${1:-} == has ]]; then
  "has_$2"
  exit
fi
what=${1:?usage: scripts/ensure.sh make|postgres|pgbouncer|chromium|compiler}
without="" # what is left out; empty: nothing can go on
case $what in
  make) packages="make" hint="GNU make" ;;
  postgres) packages="postgresql" hint="PostgreSQL (brew install postgresql), or set DATABASE_URL to an administrator's URL" ;;
  pgbouncer) packages="pgbouncer" hint="PgBouncer (brew install pgbouncer)" without="the tests with a pooler are skipped" ;;
  chromium) packages="chromium" hint="Chromium or Chrome" without="the tests in a browser are skipped" ;;
  compiler) packages="gcc libc6-dev" hint="a C compiler" without="the tests run without the race detector" ;;
  *) echo "ensure: unknown: $what" >&2 && exit 2 ;;
esac

# missing WHY: says what is left out, or ends the run.
missing() {
  local install="Debian, Ubuntu: apt-get install $packages. Elsewhere: install $hint."
  if [[ -z $without || ${CI:-false} != false ]]; then
    echo "ensure: $1. $install" >&2
    exit 1
  fi
  echo "ensure: $1: $without. $install"
  exit
}

if "has_$what"; then
  exit
fi
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
  if [[ $what == postgres ]] && has_prebuilt; then
    echo "ensure: no PostgreSQL is installed: a prebuilt one is fetched into the cache when a server is first started"
    exit
  fi
  missing "$what is missing"
fi
echo "ensure: installing $packages"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
if ! output=$(apt-get update -qq 2>&1 && apt-get install -qq -y --no-install-recommends $packages 2>&1); then
  echo "$output" >&2
  if [[ $what == postgres ]] && has_prebuilt; then
    echo "ensure: PostgreSQL cannot be installed: a prebuilt one is fetched into the cache when a server is first started"
    exit
  fi
  missing "$what cannot be installed"
fi
if ! "has_$what"; then
  missing "$packages is installed, and $what is still missing"
fi
