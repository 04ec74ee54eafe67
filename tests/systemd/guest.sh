#!/bin/bash
# What must hold on a host with systemd, run by `cargo xtask systemd-test` inside of it; $1 is the boot: package, first or second.
# Prints a line for each thing that holds, and ends with the first that does not.
set -u

site=/etc/enforcer/site.yaml
line() { echo "$*" > /results/next; cat /results/next >> "/results/$boot"; }
holds() {
    local what=$1
    shift
    for _ in $(seq 300); do
        if "$@" > /results/output 2>&1; then line "ok $what"; return; fi
        sleep 0.1
    done
    line "FAILED $what: $*"
    { tail -n 30 /results/output; systemctl status enforcer enforcer-boot; journalctl -b -u enforcer -u enforcer-boot -n 60; enforcer status; } \
        >> "/results/$boot" 2>&1
    systemctl poweroff --force --force
    exit 1
}
field() { enforcer status --format json | sed -n "s/^ *\"$1\": \"\(.*\)\",*$/\1/p" | head -n 1; }
# Of the direction that is printed first: inbound.
mode() { [ "$(field mode)" = "$1" ]; }
hash() { field policy_hash; }
other_hash() { [ "$(hash)" != "$1" ]; }
same_hash() { [ "$(hash)" = "$1" ]; }
reaches() { ip netns exec far timeout 2 bash -c "echo > /dev/tcp/198.18.0.1/$1"; }
connects() { reaches 4444; }
refused() { ! connects; }
not() { ! "$@"; }
# Connections that the role permits and one that it does not, over and over: every answer is a line.
traffic() {
    while [ ! -e /tmp/stop ]; do
        reaches 443 2> /dev/null && echo permitted || echo cut
        ip netns exec far timeout 0.2 bash -c 'echo > /dev/tcp/198.18.0.1/4444' 2> /dev/null && echo open || echo refused
    done > /tmp/traffic
}
flowing() { [ "$(wc -l < /tmp/traffic)" -gt "$1" ]; }
more() { echo $(($(wc -l < /tmp/traffic) + 10)); }
agent() { systemctl show -P MainPID enforcer; }
says() { systemctl show -P StatusText enforcer | grep -q "$1"; }
other_agent() { [ "$(agent)" != 0 ] && [ "$(agent)" != "$1" ] && systemctl is-active enforcer; }
entered() { systemctl show -P "$2" "$1"; }
before() { [ "$(entered enforcer-boot ActiveEnterTimestampMonotonic)" -le "$(entered network-pre.target ActiveEnterTimestampMonotonic)" ]; }
serves() { exec 3<> /dev/tcp/127.0.0.1/9464 && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3 && grep -q "$1" <&3; }

boot=$1
ip netns add far
ip link set far0 netns far
ip addr add 198.18.0.1/24 dev eth0
ip link set eth0 up
ip netns exec far sh -c 'ip addr add 198.18.0.2/24 dev far0 && ip link set far0 up'
for port in 443 4444; do
    systemd-socket-activate --accept --listen=0.0.0.0:$port /bin/true 2> /dev/null &
done

case $boot in
package)
    holds "before anything, everything passes" connects
    holds "the package is installed" dpkg --install /packages/old.deb
    for unit in enforcer enforcer-boot; do
        holds "$unit is known" systemctl cat "$unit"
        holds "and not enabled" not systemctl is-enabled "$unit"
        holds "and not running" not systemctl is-active "$unit"
    done
    holds "nothing is protected" not ls /sys/fs/bpf/enforcer/eth0
    sed -i 's/^roles:.*/roles: [unity-connection]/' $site
    holds "the units are enabled and started" systemctl enable --now enforcer enforcer-boot
    holds "the agent is ready" systemctl is-active enforcer
    holds "the boot unit is done" systemctl is-active enforcer-boot
    holds "its status line says how it is" says "eth0 audit"
    holds "enforcement begins" enforcer mode enforce
    holds "it refuses what the role has no use for" refused
    known=$(hash)
    process=$(agent)
    traffic &
    holds "traffic flows" flowing 10
    holds "the package is upgraded" dpkg --install --force-confold /packages/new.deb
    holds "the agent is another process" other_agent "$process"
    holds "and ready" says "eth0"
    holds "with the mode that was set at run time" mode enforce
    holds "and the same policy" same_hash "$known"
    holds "traffic goes on" flowing "$(more)"
    touch /tmp/stop
    wait $!
    line "   $(sort /tmp/traffic | uniq -c | tr -s ' \n' ' ')"
    holds "nothing was cut by the upgrade" not grep -q cut /tmp/traffic
    holds "and nothing was open" not grep -q open /tmp/traffic
    holds "the version is the new one" bash -c 'dpkg-query --show --showformat="\${Version}" enforcer | grep -q -- -2'
    holds "the package is removed" dpkg --remove enforcer
    for unit in enforcer enforcer-boot; do
        holds "$unit is not running" not systemctl is-active "$unit"
        holds "and not known any more" not systemctl cat "$unit"
    done
    holds "no unit is left enabled" not ls /etc/systemd/system/multi-user.target.wants/enforcer.service \
        /etc/systemd/system/sysinit.target.wants/enforcer-boot.service
    holds "nothing of ours is in the kernel" not ls /sys/fs/bpf/enforcer/eth0
    holds "everything passes" connects
    holds "the site file and the state stay" ls $site /var/lib/enforcer
    holds "the package is purged" dpkg --purge enforcer
    for path in /etc/enforcer /etc/default/enforcer /var/lib/enforcer /var/log/enforcer /run/enforcer /usr/bin/enforcer; do
        holds "$path is gone" not ls -d "$path"
    done
    ;;
first)
    holds "the agent is ready" systemctl is-active enforcer
    holds "its status line says how it is" says "eth0 audit"
    holds "metrics are served" serves "^enforcer_agent_site_in_force 1"
    holds "audit lets everything pass" connects
    enforcer mode enforce
    holds "enforcement refuses what the role has no use for" refused
    known=$(hash)
    sed -i 's/unity-connection/finesse/' $site
    holds "a changed site file is put in force" other_hash "$known"
    holds "with the mode that was set at run time" mode enforce
    sed -i 's/finesse/unity-connection/' $site
    systemctl reload enforcer
    holds "a reload puts it in force as well" same_hash "$known"
    process=$(agent)
    kill -KILL "$process"
    holds "a killed agent is started again" other_agent "$process"
    holds "and enforcement went on" refused
    systemctl restart enforcer
    holds "a restart ends well" systemctl is-active enforcer
    holds "and enforcement went on" mode enforce
    systemctl stop enforcer
    holds "a stopped agent leaves enforcement in place" refused
    systemctl start enforcer
    holds "the agent can change what is in force" enforcer status
    echo 'interfaces: [' > $site
    holds "a broken site file is in the status line" says "site file is not applied"
    holds "and the policy before stays" same_hash "$known"
    echo "$known" > /results/hash
    systemd-analyze security --no-pager enforcer.service enforcer-boot.service 2> /dev/null > /results/security
    for unit in enforcer enforcer-boot; do
        line "security of $unit: $(systemd-analyze security --no-pager "$unit.service" | tail -n 1)"
    done
    ;;
second)
    holds "the boot unit is done" systemctl is-active enforcer-boot
    holds "before anything configures the network" before
    holds "it has protected the interface" bash -c 'journalctl -b -u enforcer-boot | grep -q "eth0: inbound"'
    holds "with the policy that was good last" same_hash "$(cat /results/hash)"
    holds "and the mode that was set last" mode enforce
    holds "what the role has no use for is refused" refused
    holds "the agent runs although the site file is broken" systemctl is-active enforcer
    holds "and says so" says "site file is not applied"
    ;;
esac
line "done"
systemctl poweroff --force --force
