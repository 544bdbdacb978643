#!/usr/bin/env bash
# Makes sure that what the tests and the demo need is on this machine: make, postgres, pgbouncer, chromium or
# compiler.
# It installs Debian's package when it may (root, apt-get); otherwise it says in one line what to install.
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

has_chromium() {
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable headless-shell chrome; do
    command -v "$name" >/dev/null && return
  done
  [[ -d "/Applications/Google Chrome.app" || -d "/Applications/Chromium.app" ]]
}

has_pgbouncer() { command -v pgbouncer >/dev/null || [[ -x /usr/sbin/pgbouncer ]]; }

has_make() { command -v make >/dev/null; }

has_compiler() { command -v "$(go env CC)" >/dev/null; }

what=${1:?usage: scripts/ensure.sh make|postgres|pgbouncer|chromium|compiler}
case $what in
  make) packages="make" hint="GNU make" ;;
  postgres) packages="postgresql" hint="PostgreSQL (brew install postgresql), or set DATABASE_URL to an administrator's URL" ;;
  pgbouncer) packages="pgbouncer" hint="PgBouncer (brew install pgbouncer)" ;;
  chromium) packages="chromium" hint="Chromium or Chrome, for the browser tests" ;;
  compiler) packages="gcc libc6-dev" hint="a C compiler, for go test -race" ;;
  *) echo "ensure: unknown: $what" >&2 && exit 2 ;;
esac

if "has_$what"; then
  exit
fi
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
  # internal/devpg has pinned builds for these.
  if [[ $what == postgres && "$(uname -sm)" =~ ^(Linux\ (x86_64|aarch64)|Darwin\ (x86_64|arm64))$ ]]; then
    echo "ensure: no PostgreSQL is installed: a prebuilt one is fetched into the cache when a server is first started"
    exit
  fi
  echo "ensure: $what is missing. Debian, Ubuntu: apt-get install $packages. Elsewhere: install $hint." >&2
  exit 1
fi
echo "ensure: installing $packages"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
if ! output=$(apt-get update -qq 2>&1 && apt-get install -qq -y --no-install-recommends $packages 2>&1); then
  echo "$output" >&2
  exit 1
fi
if ! "has_$what"; then
  echo "ensure: $packages is installed, and $what is still missing" >&2
  exit 1
fi
