#!/bin/bash
# Installs, upgrades, removes and purges the Debian package on a copy of this host that only this process sees.
# Started as root by `cargo xtask package-test`, in namespaces of its own for mounts, network and processes.
# $1, $2: the package, and a newer version of it.
set -u
old=$(realpath "$1") new=$(realpath "$2")

mount --make-rprivate /
scratch=$(mktemp -d)
mount -t tmpfs tmpfs "$scratch" && mkdir "$scratch"/{changes,work,root}
if ! mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/changes,workdir=$scratch/work" "$scratch/root"; then
    echo "skipped: this kernel has no overlay over this root"
    exit 0
fi
root=$scratch/root
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys" && mount -t bpf bpf "$root/sys/fs/bpf"
mount --bind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
# What this host has of ours is none of the test's business.
mkdir -p "$root"/var/lib/enforcer "$root"/etc/enforcer
mount -t tmpfs tmpfs "$root/var/lib"
cp -a /var/lib/dpkg "$root/var/lib/"
rm -rf "$root/etc/enforcer"
cp "$old" "$root/tmp/old.deb"
cp "$new" "$root/tmp/new.deb"
cp "$(dirname "$0")/inside.sh" "$root/tmp/"
exec chroot "$root" bash /tmp/inside.sh
