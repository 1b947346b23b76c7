#!/usr/bin/env bash
# Builds the applet, uploads $BAM with its index ($BAI, or the index next to it, if any), runs a
# job, follows its log, and downloads the outputs to the current folder. It uses the platform for
# which `dx` is configured.
set -euo pipefail
applet=$(realpath "$(dirname "$0")/..")

show() {
    { printf '\n$'; printf ' %q' "$@"; printf '\n'; } >&2
    "$@"
}

# Prints the value at these nested keys of an object's description; nothing if there is none.
field() {
    dx describe --json "$1" | python -c '
import functools, json, sys
print(functools.reduce(lambda value, key: value.get(key, {}), sys.argv[1:], json.load(sys.stdin)) or "")
' "${@:2}"
}

if [ ! -f "$BAM" ]; then
    echo "BAM: file $BAM does not exist" >&2
    exit 1
fi
if [ -z "${BAI:-}" ]; then
    # A sample.bai next to sample.cram is the index of sample.bam.
    case "$BAM" in
        *.cram) candidates=("$BAM.crai" "${BAM%.*}.crai") ;;
        *) candidates=("$BAM".{bai,csi} "${BAM%.*}".{bai,csi}) ;;
    esac
    for BAI in "${candidates[@]}" ""; do
        [ ! -f "$BAI" ] || break
    done
elif [ ! -f "$BAI" ]; then
    echo "BAI: file $BAI does not exist" >&2
    exit 1
fi

show dx build -f "$applet"
inputs=(-i mappings_sorted_bam="$(show dx upload --brief "$(realpath "$BAM")")")
if [ -n "$BAI" ]; then
    inputs+=(-i mappings_sorted_bai="$(show dx upload --brief "$(realpath "$BAI")")")
fi
job=$(show dx run samtools_count "${inputs[@]}" -y --brief)
if ! show dx watch "$job"; then
    printf '\n%s: %s\n' "$(field "$job" failureReason)" "$(field "$job" failureMessage)" >&2
    exit 1
fi
count_file=$(field "$job" output count_file '$dnanexus_link')
show dx download -f --no-progress "$count_file"
name=$(field "$count_file" name)
report_file=$(field "$job" output report_file '$dnanexus_link')
show dx download -f --no-progress "$report_file"
index_file=$(field "$job" output index_file '$dnanexus_link')
if [ -n "$index_file" ]; then
    show dx download -f --no-progress "$index_file"
fi
show cat -- "$name"
printf '\n\nCounts: %s\nHTML report: %s\n' "$name" "${name%.txt}.html"
