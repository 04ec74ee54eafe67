#!/bin/bash
# The host on which the commands of the documents run: eth0 is a cable, and somebody at its other end asks for ports all the time.
# The commands follow below; each leaves its exit code and what it printed on standard output.
set -u
export PATH=/tmp/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=xterm-256color NO_COLOR=1
unset ENFORCER_STATE_DIR SSH_CONNECTION SSH_CLIENT

mkdir -p /tmp/bin /root/.config/fish/completions /etc/bash_completion.d /etc/enforcer /etc/nftables.d /usr/local/share/zsh/site-functions \
    /usr/local/share/man /usr/share/enforcer /var/lib/prometheus/node-exporter /var/log/enforcer
cp -r /tmp/policies /usr/share/enforcer/
cp /tmp/enforcer /tmp/bin/
# Whoever runs this is root already.
printf '#!/bin/sh\nexec "$@"\n' > /tmp/bin/sudo
chmod 755 /tmp/bin/*
ip link set lo up
ip netns add far
ip link add eth0 type veth peer name far0 netns far
ip addr add 10.1.1.10/24 dev eth0
ip link set eth0 up
ip netns exec far sh -c 'ip addr add 10.1.1.77/24 dev far0 && ip link set far0 up && ip link set lo up'
# Some datagrams to ports that the role knows, and to one that nobody does.
ip netns exec far bash -c 'while :; do for port in 161 4444; do echo > /dev/udp/10.1.1.10/$port; done; sleep 0.2; done' 2> /dev/null &

# A document begins: nothing is in force, and its files are as they were.
begin() {
    enforcer detach > /dev/null 2>&1
    rm -rf /tmp/here /var/lib/enforcer
    cp -r /tmp/files /tmp/here
    cp /tmp/files/site.yaml /etc/enforcer/site.yaml
    cd /tmp/here || exit 1
}
# What is in force before each example of `--help`.
audit() { enforcer apply site.yaml --replace --mode audit --hook tc > /dev/null 2>&1 || echo "cannot apply site.yaml"; }
enforce() { enforcer mode enforce > /dev/null 2>&1 || echo "cannot enforce"; }
run() { tell "$1" timeout 300 bash -o pipefail -c "$2" < /dev/null; }
# Without end: told to end when it has had time to say something.
endless() { tell "$1" timeout --preserve-status --kill-after=60 --signal=INT 4 bash -o pipefail -c "trap : INT; $2" < /dev/null; }
# On a terminal, until `q` is pressed.
screen() { tell "$1" timeout --kill-after=10 60 script --quiet --return --command "stty rows 24 cols 80; $2" /dev/null < <(sleep 4; printf q); }
tell() {
    local number=$1
    shift
    "$@" > /tmp/output 2>&1
    echo "=== $number $?"
    head -c 4000 /tmp/output
    echo
}
