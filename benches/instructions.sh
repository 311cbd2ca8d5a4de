#!/usr/bin/env bash
# The instructions of one request, without those of SHA-256, for each contestant of benches/receive. They do not wobble, so they
# show what a change costs on a machine that is busy. Needs valgrind (Debian: valgrind).
#
#   benches/instructions.sh                                 the usual contestants at 1 KiB
#   benches/instructions.sh event-stripe-small-1k ...       those that are named; see `only` in benches/receive/main.rs
set -euo pipefail
cd "$(dirname "$0")/.."

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for sender in stripe github standard; do
        for contestant in bare bound hand_unparsed verified json hand envelope event routed; do
            # Of Standard Webhooks the payload is another part of the body.
            case $sender-$contestant in standard-event | standard-routed | github-event | github-routed) continue ;; esac
            names+=("$contestant-$sender-small-1k")
        done
    done
fi

# SHA instructions are not known to valgrind, so that the function that it subtracts is the portable one.
binary=$(cargo bench --bench receive --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"target":{[^}]*"name":"receive".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -x "$binary" ] || { echo "the bench does not build: cargo bench --bench receive --no-run" >&2; exit 1; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# The instructions of a run, and those of them in SHA-256.
count() {
    valgrind --tool=callgrind --callgrind-out-file="$out/run" "$binary" --only "$1" "$2" >/dev/null 2>&1
    callgrind_annotate --threshold=100 --auto=no "$out/run" | awk '
        /PROGRAM TOTALS/ { gsub(",", "", $1); total = $1 }
        /sha2::.*compress/ { gsub(",", "", $1); hashing += $1 }
        END { printf "%d %d\n", total, hashing }'
}

printf '%-34s %14s %14s\n' contestant 'without SHA' 'in SHA'
for name in "${names[@]}"; do
    # The start is subtracted, and so is the first request, which initialises what is made once.
    read -r few_total few_hashing < <(count "$name" 100)
    read -r many_total many_hashing < <(count "$name" 1100)
    hashing=$(((many_hashing - few_hashing) / 1000))
    printf '%-34s %14d %14d\n' "$name" $(((many_total - few_total) / 1000 - hashing)) "$hashing"
done
