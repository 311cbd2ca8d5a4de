#!/usr/bin/env bash
# Runs every test of every feature, and every example. This is the one test command.
#
#   tests/run.sh              installs what is missing, tests, doc tests, examples
#   tests/run.sh FILTER ..    the tests whose name holds FILTER; arguments go to `cargo test`
#   tests/run.sh --long       the same as the first, in release and with the big counts; and docs/typed-payloads.md, whose
#                             libraries take minutes to compile
#   tests/run.sh --interop    only installs the libraries and tools of tests/interop, and the server of tests/inbox/sqs.rs
#
# The tests that need Redis, NATS, PostgreSQL, PgBouncer or a reverse proxy start their own private servers: own port, own data folder.
# This script only sees to it that the programs are there, and that their packages start no service. It works from any folder.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n== %s\n' "$*"; }
fail() { printf '\ntests/run.sh: %s\n' "$*" >&2; exit 1; }

long=0
only_interop=0
arguments=()
for argument in "$@"; do
    case "$argument" in
        --long) long=1 ;;
        --interop) only_interop=1 ;;
        *) arguments+=("$argument") ;;
    esac
done

# --- The programs that the tests need -------------------------------------------------------------------------------

has_nats() { command -v nats-server >/dev/null || [ -x /usr/sbin/nats-server ]; }
has_compiler() { command -v cc >/dev/null; }
has_redis() { command -v redis-server >/dev/null; }
# Debian keeps the server's programs out of the search path, one folder for each version.
has_postgres() {
    { command -v initdb && command -v postgres; } >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}
has_node() { { command -v node && command -v npm; } >/dev/null; }
has_python() { command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1; }
has_recipe_tools() { { command -v curl && command -v openssl; } >/dev/null; }
has_browser() { { command -v chromium && command -v chromedriver; } >/dev/null; }
has_promtool() { command -v promtool >/dev/null; }
has_pooler() { command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ]; }
# Debian's package of a proxy, by the program that it brings.
declare -A proxies=([apache2]=apache2 [caddy]=caddy [haproxy]=haproxy [lighttpd]=lighttpd [nginx]=nginx-light [varnishd]=varnish)
missing_proxies() {
    local program
    for program in "${!proxies[@]}"; do
        command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || echo "${proxies[$program]}"
    done
}

missing=()
has_compiler || missing+=(build-essential)
has_redis || missing+=(redis-server)
has_postgres || missing+=(postgresql)
has_nats || missing+=(nats-server)
has_node || missing+=(nodejs npm)
has_python || missing+=(python3 python3-pip)
has_pooler || missing+=(pgbouncer)
has_browser || missing+=(chromium chromium-driver)
has_promtool || missing+=(prometheus)
has_recipe_tools || missing+=(curl openssl)
mapfile -t -O "${#missing[@]}" missing < <(missing_proxies)

if [ "${#missing[@]}" -gt 0 ]; then
    install="apt-get install -y --no-install-recommends ${missing[*]}"
    command -v apt-get >/dev/null || fail "missing: ${missing[*]} (these are the names of the Debian packages)"
    [ "$(id -u)" = 0 ] || fail "missing: ${missing[*]}; run this as root and try again: $install"
    say "Installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q || echo 'the package lists could not be renewed; trying with those that are there' >&2
    # Debian's own way to say that no service is to be started by an installation.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    $install || fail "could not install: ${missing[*]}"
    has_compiler && has_nats && has_redis && has_postgres && has_node && has_python && has_pooler && has_browser && has_promtool && has_recipe_tools && [ -z "$(missing_proxies)" ] ||
        fail "installed ${missing[*]}, and still do not find the programs"
fi
command -v cargo >/dev/null || fail 'cargo is missing; install Rust from https://rustup.rs and try again'

# --- Libraries and tools from npm and PyPI ------------------------------------------------------------------------------

# They are installed beside the build, at the versions that are pinned in tests/interop, and again when those change.
interop="$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/tmp/interop"
pinned="$(cat tests/interop/package-lock.json tests/interop/requirements.txt tests/interop/api-requirements.txt tests/inbox/moto-requirements.txt)"
if [ "$(cat "$interop/pinned" 2>/dev/null)" != "$pinned" ]; then
    say 'Installing the official verifiers of Standard Webhooks, what reads OpenAPI documents, and a server that behaves like Amazon SQS'
    rm -rf "$interop"
    mkdir -p "$interop"
    cp tests/interop/package.json tests/interop/package-lock.json "$interop/"
    (cd "$interop" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) ||
        fail 'npm could not install what tests/interop/package.json names'
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --target "$interop/python" \
        -r tests/interop/requirements.txt || fail 'pip could not install what tests/interop/requirements.txt names'
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$interop/api" \
        -r tests/interop/api-requirements.txt || fail 'pip could not install what tests/interop/api-requirements.txt names'
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$interop/moto" \
        -r tests/inbox/moto-requirements.txt || fail 'pip could not install what tests/inbox/moto-requirements.txt names'
    printf '%s\n' "$pinned" >"$interop/pinned"
fi
[ "$only_interop" = 0 ] || exit 0

# --- Tests ----------------------------------------------------------------------------------------------------------

profile=()
if [ "$long" = 1 ]; then
    export TOWER_WEBHOOKS_LONG=1
    profile=(--release)
fi

# Without `--all-targets`: that would leave out the doc tests and run the benches. The examples are built here as well.
tests=(cargo test --all-features --no-fail-fast "${profile[@]}" "${arguments[@]}")
say "${tests[*]}"
"${tests[@]}"

if [ "${#arguments[@]}" -gt 0 ]; then
    say "The tests chosen by \`${arguments[*]}\` passed. The examples were not run."
    exit 0
fi

# --- Benches --------------------------------------------------------------------------------------------------------

# A few rounds in the profile of the tests: the times mean nothing, the counts are exact, and the benches cannot rot.
for name in api receive idempotency inbox send outbox; do
    bench=(cargo test --all-features "${profile[@]}" --bench "$name" -- --quick)
    say "${bench[*]}"
    "${bench[@]}"
done

# --- Examples -------------------------------------------------------------------------------------------------------

# Each example checks itself and ends when it is started with the command of its `//! Run:` line, within two minutes.
run_line() { sed -n '1,12s|^//! Run: *`*\(cargo run [^`]*\)`*$|\1|p' "$1" | head -n 1; }

examples=0
for file in examples/*.rs examples/*/main.rs; do
    [ -e "$file" ] || continue
    name="${file#examples/}"
    name="${name%.rs}"
    name="${name%/main}"
    read -r -a command <<<"$(run_line "$file")"
    [ "${#command[@]}" -gt 0 ] || fail "$file has no line \`//! Run: cargo run …\` among its first twelve"
    [[ " ${command[*]} " == *" --example $name "* ]] || fail "the \`//! Run:\` line of $file does not run \`--example $name\`"
    say "${command[*]}"
    options=("${command[@]:2}")
    # What stands before `--` chooses the build. It is built first, so that the two minutes are the example's own.
    build=()
    for option in "${options[@]}"; do
        [ "$option" != -- ] || break
        build+=("$option")
    done
    cargo build --quiet "${profile[@]}" "${build[@]}"
    timeout --kill-after=10 120 cargo run --quiet "${profile[@]}" "${options[@]}" </dev/null ||
        fail "the example $name failed, or did not end within two minutes"
    examples=$((examples + 1))
done

# --- Other people's types --------------------------------------------------------------------------------------------

if [ "$long" = 1 ]; then
    payloads=(cargo test --locked --manifest-path examples/typed_payloads/Cargo.toml)
    say "${payloads[*]}"
    CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/typed_payloads" "${payloads[@]}"
fi

say "All tests passed, and $examples examples ran."
