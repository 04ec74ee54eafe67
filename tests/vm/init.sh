#!/bin/busybox sh
# The first and only process of a machine of `cargo xtask vmtest`: runs the tests and switches the machine off.
# What xtask reads begins with "vm: "; standard error of the tests has a line of its own, so that nothing cuts into theirs.
/bin/busybox --install -s /bin
export PATH=/usr/bin:/usr/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t bpf bpf /sys/fs/bpf

# There is no list of what needs what: try until nothing more can be loaded.
loaded=1
while [ "$loaded" ]; do
    loaded=
    for module in /modules/*.ko; do
        [ -e "$module" ] && insmod "$module" 2> /dev/null && rm "$module" && loaded=1
    done
done
for module in /modules/*.ko; do
    [ -e "$module" ] && echo "vm: complaint: $(basename "$module") cannot be loaded"
done
ip link set lo up

# The second serial port; the first of this kind where the console is another kind.
errors=/dev/ttyS1
grep -q console=ttyS0 /proc/cmdline || errors=/dev/ttyS0

echo "vm: kernel $(uname -r)"
cd /root
# As the units do: kernels before 5.11 count BPF maps against it.
ulimit -l unlimited
# The processor is emulated: what takes a second elsewhere may take a quarter of a minute here, if the machine has other things to do.
ENFORCER_TESTS_MACHINE=1 ENFORCER_TESTS_CARDS="$(cat /cards)" ENFORCER_BIN=/root/enforcer ENFORCER_TESTS_PATIENCE=15 RUST_TEST_THREADS=2 ./it $(cat /filters) 2> "$errors"
status=$?
dmesg | grep -E 'WARNING:|BUG:|Oops:' | sed 's/^/vm: complaint: /'
echo "vm: exit $status"
poweroff -f
