#!/bin/sh
# Boots a Debian with its own systemd three times and prints what held: once with the package, which is installed, upgraded, removed and
# purged there, and twice with the units alone, through a reboot. Started as root by `cargo xtask systemd-test`.
# Fails if the Debian cannot be made. $1: the folder for it, made by debootstrap the first time; $2: the enforcer binary; $3: the clone; $4, $5: the package, and a newer one.
set -eu
root=$1 binary=$2 clone=$3 old=$4 new=$5
here=$clone/tests/systemd

if [ ! -e "$root/.complete" ]; then
    rm -rf "$root"
    packages=systemd,systemd-sysv,iproute2,procps
    # The mirror of this machine, if it is one of Debian itself.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Created-By: Packages' 2> /dev/null \
        | grep -v security | head -n 1 || true)
    if ! debootstrap --variant=minbase --include=$packages trixie "$root" ${mirror:+"$mirror"} > "$root.log" 2>&1; then
        tail -n 3 "$root.log"
        echo "error: debootstrap cannot make a Debian here; its log is $root.log, and this repeats the step by hand:" >&2
        echo "    debootstrap --variant=minbase --include=$packages trixie $root $mirror" >&2
        exit 1
    fi
    touch "$root/.complete"
fi

wants=$root/etc/systemd/system/multi-user.target.wants
boot() {
    echo "== $1 boot"
    ln -sf /etc/systemd/system/guest@.service "$wants/guest@$1.service"
    # It ends by switching itself off, which looks like a signal from here: what counts is what it wrote.
    timeout 300 unshare --mount --pid --net --uts --ipc --fork --kill-child sh "$here/start.sh" "$root" || true
    rm -f "$wants/guest@$1.service"
    touch "$root/results/$1"
    cat "$root/results/$1"
    if ! grep -qx done "$root/results/$1"; then
        echo "the $1 boot did not come to its end"
        exit 1
    fi
}
# By the systemctl of the Debian: this machine may have none.
units() { SYSTEMD_OFFLINE=1 chroot "$root" systemctl --quiet "$1" enforcer.service enforcer-boot.service; }

# What an earlier run has left.
units disable 2> /dev/null || true
rm -rf "$root/results" "$root/packages" "$root/var/lib/enforcer" "$root/etc/enforcer" "$root/usr/bin/enforcer" \
    "$root"/etc/systemd/system/enforcer*.service
chroot "$root" dpkg --purge enforcer > /dev/null 2>&1 || true
mkdir -p "$root/results" "$root/packages" "$wants"
install -m 755 "$here/guest.sh" "$root/usr/local/sbin/enforcer-guest"
printf '[Unit]\nAfter=multi-user.target\n[Service]\nExecStart=/usr/local/sbin/enforcer-guest %%i\n' \
    > "$root/etc/systemd/system/guest@.service"
SYSTEMD_OFFLINE=1 chroot "$root" systemctl --quiet set-default multi-user.target
install -m 644 "$old" "$root/packages/old.deb"
install -m 644 "$new" "$root/packages/new.deb"
boot package

mkdir -p "$root/etc/enforcer"
install -m 755 "$binary" "$root/usr/bin/enforcer"
install -m 644 "$clone"/contrib/systemd/*.service "$root/etc/systemd/system/"
printf 'interfaces: [eth0]\nroles: [unity-connection]\n' > "$root/etc/enforcer/site.yaml"
units enable
boot first
boot second
# The groups outlive their processes.
unshare --mount sh -c 'mount -t cgroup2 cgroup2 "$1" && find "$1/enforcer-systemd-test" -depth -type d -exec rmdir {} +' \
    sh "$root/tmp"
