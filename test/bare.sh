#!/usr/bin/env bash
# Runs the README's two commands on a clone of the last commit, in a minimal Debian that debootstrap
# creates (release $RELEASE, default: bookworm). Of the caller's settings, only those that apt and
# pip need to reach their registries are passed on.
#   --check  only returns, as exit status, whether this machine can run it
set -euo pipefail
checkout=$(realpath "$(dirname "$0")/..")
release=${RELEASE:-bookworm}

if ! [ "$(id -u)" -eq 0 ] || ! command -v debootstrap >/dev/null ||
    ! unshare --mount --pid --fork true 2>/dev/null; then
    echo "Cannot create a minimal Debian: this requires root, debootstrap, and the right to mount" >&2
    exit 1
fi
[ "${1:-}" != --check ] || exit 0

folder=$(mktemp -d -p "${TMPDIR:-/var/tmp}" bare.XXXXXX)
root=$folder/root
clean() {
    # Killing an unfinished job ends all of its processes and removes their mounts.
    if kill -KILL %% 2>/dev/null; then
        wait
        sleep 1
    fi
    rm -rf --one-file-system "$folder"
}
trap clean EXIT

# Runs a command in its own PID and mount namespaces. It runs in the background, because bash
# handles a signal only after a foreground command has ended.
set -m
isolated() {
    unshare --mount --pid --fork --kill-child "$@" </dev/null &
    wait $!
}

# The mirror and the proxy that apt uses on this machine.
mirror=
if command -v apt-config >/dev/null; then
    eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
    export http_proxy
    mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "Debian" && !found++ { print $2 }')
fi
echo "Creating a minimal $release with debootstrap"
packages=python3,make,git,ca-certificates
if ! isolated debootstrap --variant=minbase --include="$packages" "$release" "$root" \
    ${mirror:+"$mirror"} >"$folder/log"; then
    tail -n 20 "$folder/log" >&2
    exit 1
fi
echo "Created in $SECONDS s"

# Settings of apt and pip for reaching their registries: proxies, certificates, addresses.
if command -v apt-config >/dev/null; then
    apt-config dump | grep -E '^Acquire::(https?|Check)' >"$root/etc/apt/apt.conf.d/50caller" || true
fi
for file in /etc/hosts /etc/resolv.conf /etc/pip.conf /etc/xdg/pip \
    /usr/local/share/ca-certificates "${PIP_CERT:-}"; do
    if [ -e "$file" ]; then
        mkdir -p "$root$(dirname "$file")"
        cp -rLT "$file" "$root$file"
    fi
done
settings=()
for name in PIP_{INDEX_URL,EXTRA_INDEX_URL,TRUSTED_HOST,CERT,PROXY,DEFAULT_TIMEOUT,RETRIES} \
    {http,https,no,all}_proxy {HTTP,HTTPS,NO,ALL}_PROXY; do
    [ -z "${!name:-}" ] || settings+=("$name=${!name}")
done

git clone --quiet "$checkout" "$root/root/samtools_count"
mapfile -t commands < <(sed -n 's/^\$ //p' "$root/root/samtools_count/README.md")
# shellcheck disable=SC2016
isolated bash -ec '
    root=$1
    shift
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t tmpfs tmpfs "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
    exec chroot "$root" env -i "$@"
' bash "$root" HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    "${settings[@]}" bash -ec '
    update-ca-certificates >/dev/null
    cd ~/samtools_count
    for command; do
        SECONDS=0
        echo "\$ $command"
        bash -c "$command"
        echo "$command: $SECONDS s"
    done
' bash "${commands[@]}"
