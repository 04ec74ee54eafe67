#!/bin/bash
# Runs a script on a copy of this host that only this process sees: what it installs, writes and attaches is gone with it.
# Started as root in namespaces of its own for mounts, network and processes (unshare --mount --net --pid --fork).
# Exit code 77: this kernel can make no copy. $1: the script; further ones: files and folders that it finds beside itself in /tmp.
set -u
mount --make-rprivate /
scratch=$(mktemp -d)
mount -t tmpfs tmpfs "$scratch" && mkdir "$scratch"/{changes,work,root}
if ! mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/changes,workdir=$scratch/work" "$scratch/root"; then
    echo "error: this kernel cannot mount an overlay over this root, so there is no copy to test on; run this on another machine" >&2
    exit 77
fi
root=$scratch/root
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys" && mount -t bpf bpf "$root/sys/fs/bpf"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
# What this host has of ours is none of the script's business.
mkdir -p "$root"/var/lib/enforcer "$root"/etc/enforcer
mount -t tmpfs tmpfs "$root/var/lib"
cp -a /var/lib/dpkg "$root/var/lib/"
rm -rf "$root/etc/enforcer"
cp -r "$@" "$root/tmp/"
exec chroot "$root" bash "/tmp/$(basename "$1")"
