#!/bin/bash
# The collection of contrib/ansible on the copy of this host, with a connection that starts commands here: installs the package, audits
# first, and enforces when the host is ready. Prints a line for each thing that holds, and ends with the first that does not.
set -u
unset ENFORCER_STATE_DIR
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8
export ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_DEPRECATION_WARNINGS=false ANSIBLE_COLLECTIONS_PATH=/tmp/collections
cd /tmp || exit 1

. ./holds.sh
play() { ansible-playbook --inventory localhost, --connection local play.yml --extra-vars '{"ansible_python_interpreter": "/usr/bin/python3"}' "$@"; }
mode() { enforcer status --format json | grep -m 1 '"mode"' | grep -q "$1"; }

ip link set lo up
ip link add eth0 type veth peer name far0
ip addr add 198.18.0.1/24 dev eth0
ip link set eth0 up
ip link set far0 up

holds "the collection builds" ansible-galaxy collection build ansible
holds "and installs" ansible-galaxy collection install --offline enforcer-host-0.1.0.tar.gz -p collections
printf 'interfaces: [eth0]\nroles: [unity-connection]\n' > site.yaml
cat > play.yml <<YAML
- hosts: all
  gather_facts: false
  roles:
    - role: enforcer.host.host
      enforcer_package: /tmp/$(basename enforcer_*.deb)
      enforcer_site: /tmp/site.yaml
      enforcer_agent: false
      enforcer_promote: true
      enforcer_readiness: "{{ thresholds | default({}) }}"
YAML
ready='{"thresholds": {"min-hours": 0, "min-policy-hours": 0, "min-weekdays": 0}}'

holds "check mode says what it would do" play --check
holds "and has done nothing" not ls /usr/bin/enforcer
holds "the package is installed and the site applied" play
holds "something changed" says 'changed=[1-9]'
holds "the host audits first, because it is not ready" mode audit
holds "a second run" play
holds "changes nothing" says 'ok=[0-9]+ +changed=0 .*failed=0'
printf 'interfaces: [eth0]\nroles: [finesse]\n' > site.yaml
before=$(enforcer status --format json | grep policy_hash)
holds "check mode sees another site" play --check --diff
holds "as a change" says 'changed=[1-9]'
holds "and applies nothing" test "$before" = "$(enforcer status --format json | grep policy_hash)"
holds "another site is applied" play
holds "and is active" not test "$before" = "$(enforcer status --format json | grep policy_hash)"
printf 'interfaces: [eth0]\nroles: [no-such-role]\n' > site.yaml
holds "a site with a mistake fails" not play
holds "with the mistake" says 'no-such-role'
holds "and does not get to the host" not grep -q no-such-role /etc/enforcer/site.yaml
printf 'interfaces: [eth0]\nroles: [finesse]\n' > site.yaml
holds "check mode sees that a host is ready" play --check --extra-vars "$ready"
holds "and leaves it in audit" mode audit
holds "a host that is ready enforces" play --extra-vars "$ready"
holds "it does" mode enforce
holds "for good" bash -c "enforcer status --format json | grep -q '\"deadline\": null'"
holds "a second run" play --extra-vars "$ready"
holds "changes nothing" says 'ok=[0-9]+ +changed=0 .*failed=0'
cat > absent.yml <<'YAML'
- hosts: all
  gather_facts: false
  tasks:
    - enforcer.host.policy: {state: absent}
YAML
mv absent.yml play.yml
holds "protection ends" play
holds "and nothing is left" not ls /sys/fs/bpf/enforcer/eth0
holds "a second time" play
holds "changes nothing" says 'changed=0 '
echo "done"
