#!/bin/bash
# The host that the packages are installed on. Prints a line for each thing that holds, and ends with the first that does not.
set -u
unset ENFORCER_STATE_DIR
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
cd /tmp || exit 1

. ./holds.sh
there() { for path in "$@"; do [ -e "$path" ] || { echo "no $path"; return 1; }; done; }
# Without what grows with the traffic.
state() { enforcer status --format json | grep -Ev '"(since|received)"'; }
connects() { ip netns exec far timeout 5 bash -c "echo > /dev/tcp/198.18.0.1/$1"; }
# Connections that the role permits and one that it does not, over and over: every answer is a line.
traffic() {
    while [ ! -e stop ]; do
        connects 443 2> /dev/null && echo permitted || echo cut
        ip netns exec far timeout 0.2 bash -c 'echo > /dev/tcp/198.18.0.1/4444' 2> /dev/null && echo open || echo refused
    done > traffic
}
rounds() { local before; before=$(wc -l < traffic); while [ "$(wc -l < traffic)" -lt $((before + $1)) ]; do sleep 0.1; done; }

ip link set lo up
ip netns add far
ip link add eth0 type veth peer name far0 netns far
ip addr add 198.18.0.1/24 dev eth0
ip link set eth0 up
ip netns exec far sh -c 'ip addr add 198.18.0.2/24 dev far0 && ip link set far0 up'
for port in 443 4444; do
    dnsmasq --no-daemon --conf-file=/dev/null --port=$port --no-resolv --no-hosts --listen-address=198.18.0.1 --bind-interfaces \
        --user=root > "server-$port" 2>&1 &
done
for port in 443 4444; do
    for _ in $(seq 100); do connects $port 2> /dev/null && break; sleep 0.1; done
    holds "a server answers at port $port" connects $port
done

# How this kind of package is installed, upgraded and removed.
if [ -e dpkg.sh ]; then . ./dpkg.sh; else . ./rpm.sh; fi

holds "the package installs" install_old
holds "and says that nothing is protected" says "nothing is protected yet"
holds "nothing is" not there /sys/fs/bpf/enforcer/eth0
holds "the units are there, and not enabled" there /usr/lib/systemd/system/enforcer{,-boot}.service
holds "the units are not enabled" not there /etc/systemd/system/{multi-user,sysinit}.target.wants/enforcer{,-boot}.service
holds "pages, completions, catalogue and schemas are there" there /usr/share/man/man8/enforcer-apply.8.gz \
    /usr/share/man/man5/enforcer-site.5.gz /usr/share/bash-completion/completions/enforcer \
    /usr/share/enforcer/policies/finesse.yaml /usr/share/enforcer/schema/site.schema.json
holds "the catalogue can be read" enforcer roles --catalogue /usr/share/enforcer/policies
holds "the site file protects nothing as it is" not enforcer check /etc/enforcer/site.yaml
holds "because it names no role" says "has no roles"
sed -i 's/^roles:.*/roles: [unity-connection]/' /etc/enforcer/site.yaml
holds "with a role it is a site file" enforcer apply /etc/enforcer/site.yaml
holds "it is in force" enforcer status
holds "in audit" says audit
holds "audit lets everything pass" connects 4444

holds "enforcement begins" enforcer mode enforce --inbound
traffic &
flow=$!
ip netns exec far ping -q -i 0.2 198.18.0.1 > ping &
ping=$!
rounds 10
state > before
holds "the package is upgraded" upgrade
rounds 10
state > after
holds "status is what it was" diff before after
holds "the site file is the operator's" grep -q unity-connection /etc/enforcer/site.yaml
touch stop
wait $flow
kill -INT $ping
wait $ping
echo "   $(sort traffic | uniq -c | tr -s ' \n' ' ')"
holds "nothing was cut meanwhile" not grep -q cut traffic
holds "and nothing was open" not grep -q open traffic
holds "connections were permitted and refused" bash -c 'grep -q permitted traffic && grep -q refused traffic'
holds "no ping was lost" grep -q ' 0% packet loss' ping

holds "the package is removed" remove
holds "and says that enforcement ends" says "ending enforcement"
holds "nothing of ours is in the kernel" not there /sys/fs/bpf/enforcer/eth0
holds "everything passes" connects 4444
holds "the site file and the state stay" there "$kept" /var/lib/enforcer
for path in /usr/bin/enforcer /usr/share/enforcer/policies /usr/lib/systemd/system/enforcer.service; do
    holds "$path is gone" not there $path
done
at_last
echo "done"
