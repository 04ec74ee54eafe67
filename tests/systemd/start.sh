#!/bin/sh
# Boots the Debian in $1 with its own systemd as process 1, in namespaces of its own: a mount of bpffs, a network, a machine name.
# Started by `cargo xtask systemd-test` under unshare(1). When it ends, all that the kernel held for it is gone, as after a reboot.
set -eu
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs tmpfs "$root/dev/shm"
# A group of its own, so that its systemd has a tree to itself.
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mkdir -p "$root/sys/fs/cgroup/enforcer-systemd-test"
echo $$ > "$root/sys/fs/cgroup/enforcer-systemd-test/cgroup.procs"
# The interface is there before systemd is, as hardware would be; its other end is where the peers are.
ip link set lo up
ip link add eth0 type veth peer name far0
cd "$root"
exec unshare --cgroup sh -c '
    umount sys/fs/cgroup && mount -t cgroup2 cgroup2 sys/fs/cgroup && mount -t bpf bpf sys/fs/bpf
    mkdir -p old && pivot_root . old && umount -l old
    exec env -i container=enforcer-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal --show-status=no'
