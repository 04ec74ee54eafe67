#!/bin/sh
# Boots a Debian with its own systemd twice and prints what held. Started as root by `cargo xtask systemd-test`.
# $1: the folder for it, made by debootstrap the first time; $2: the enforcer binary; $3: the clone.
set -eu
root=$1 binary=$2 clone=$3
here=$clone/tests/systemd

for tool in debootstrap unshare pivot_root ip systemctl; do
    if ! command -v "$tool" > /dev/null; then
        echo "skipped: there is no $tool"
        exit 0
    fi
done
if [ ! -e "$root/.complete" ]; then
    rm -rf "$root"
    packages=systemd,systemd-sysv,iproute2,procps
    if ! debootstrap --variant=minbase --include=$packages trixie "$root" > "$root.log" 2>&1; then
        tail -n 3 "$root.log"
        echo "skipped: debootstrap cannot make a Debian here, see $root.log"
        exit 0
    fi
    touch "$root/.complete"
fi

rm -rf "$root/results" "$root/var/lib/enforcer"
mkdir -p "$root/results" "$root/etc/enforcer"
install -m 755 "$binary" "$root/usr/bin/enforcer"
install -m 755 "$here/guest.sh" "$root/usr/local/sbin/enforcer-guest"
install -m 644 "$clone"/contrib/systemd/*.service "$root/etc/systemd/system/"
printf 'interfaces: [eth0]\nroles: [unity-connection]\n' > "$root/etc/enforcer/site.yaml"
printf '[Unit]\nAfter=multi-user.target\n[Service]\nExecStart=/usr/local/sbin/enforcer-guest %%i\n' \
    > "$root/etc/systemd/system/guest@.service"
systemctl --quiet --root="$root" set-default multi-user.target
systemctl --quiet --root="$root" enable enforcer.service enforcer-boot.service

wants=$root/etc/systemd/system/multi-user.target.wants
for boot in first second; do
    echo "== $boot boot"
    ln -sf /etc/systemd/system/guest@.service "$wants/guest@$boot.service"
    # It ends by switching itself off, which looks like a signal from here: what counts is what it wrote.
    timeout 300 unshare --mount --pid --net --uts --ipc --fork --kill-child sh "$here/start.sh" "$root" || true
    rm -f "$wants/guest@$boot.service"
    touch "$root/results/$boot"
    cat "$root/results/$boot"
    if ! grep -qx done "$root/results/$boot"; then
        echo "the $boot boot did not come to its end"
        exit 1
    fi
done
# The groups outlive their processes.
unshare --mount sh -c 'mount -t cgroup2 cgroup2 "$1" && find "$1/enforcer-systemd-test" -depth -type d -exec rmdir {} +' \
    sh "$root/tmp"
