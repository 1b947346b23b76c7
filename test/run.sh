#!/usr/bin/env bash
# Builds the applet, uploads $BAM with its index ($BAI, or the one beside it), runs a job, follows
# its log, and leaves the count file in the current folder. `dx` decides on which platform.
set -euo pipefail
applet=$(realpath "$(dirname "$0")/..")

show() {
    { printf '\n$'; printf ' %q' "$@"; printf '\n'; } >&2
    "$@"
}

# The value in a description that is found by these keys, one inside the other.
field() {
    dx describe --json "$1" | python -c '
import functools, json, sys
print(functools.reduce(dict.__getitem__, sys.argv[1:], json.load(sys.stdin)))' "${@:2}"
}

if [ ! -f "$BAM" ]; then
    echo "BAM: there is no file $BAM" >&2
    exit 1
fi
if [ -z "${BAI:-}" ]; then
    for BAI in "$BAM.bai" "${BAM%.*}.bai" ""; do
        [ ! -f "$BAI" ] || break
    done
fi
if [ ! -f "$BAI" ]; then
    echo "BAI: there is no index beside $BAM; 'samtools index' makes one, BAI=... names one" >&2
    exit 1
fi

show dx build -f "$applet"
bam=$(show dx upload --brief "$(realpath "$BAM")")
bai=$(show dx upload --brief "$(realpath "$BAI")")
job=$(show dx run samtools_count -i mappings_sorted_bam="$bam" -i mappings_sorted_bai="$bai" -y --brief)
if ! show dx watch "$job"; then
    printf '\n%s: %s\n' "$(field "$job" failureReason)" "$(field "$job" failureMessage)" >&2
    exit 1
fi
count_file=$(field "$job" output count_file '$dnanexus_link')
show dx download -f --no-progress "$count_file"
name=$(field "$count_file" name)
show cat -- "$name"
printf '\n\nThe counts are in %s\n' "$name"
