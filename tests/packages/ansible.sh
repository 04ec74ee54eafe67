#!/bin/bash
# The collection of contrib/ansible on the copy of this host, with a connection that starts commands here: installs the package, audits
# first, and enforces when the host is ready. Prints a line for each thing that holds, and ends with the first that does not.
set -u
unset ENFORCER_STATE_DIR
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8
export ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_DEPRECATION_WARNINGS=false ANSIBLE_COLLECTIONS_PATH=/tmp/collections
cd /tmp || exit 1

. ./holds.sh
play() {
    local book=play.yml
    case ${1-} in *.yml) book=$1; shift ;; esac
    ansible-playbook --inventory localhost, --connection local "$book" --extra-vars '{"ansible_python_interpreter": "/usr/bin/python3"}' "$@"
}
mode() { enforcer status --format json | grep -m 1 '"mode"' | grep -q "$1"; }

ip link set lo up
ip link add eth0 type veth peer name far0
ip link add eth1 type veth peer name far1
ip addr add 198.18.0.1/24 dev eth0
ip addr add 198.18.1.1/24 dev eth1
for link in eth0 far0 eth1 far1; do ip link set $link up; done

holds "the collection builds" ansible-galaxy collection build ansible
holds "and installs" ansible-galaxy collection install --offline enforcer-host-0.1.0.tar.gz -p collections
for module in policy promote; do
    holds "$module has a page" ansible-doc --type module enforcer.host.$module
    holds "with examples" says '^EXAMPLES'
done
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
printf 'interfaces: [eth0, eth1]\nroles: [finesse]\n' > site.yaml
holds "check mode sees that an interface is added" play --check
holds "as a change" says 'changed=[1-9]'
holds "and does not protect it" not ls /sys/fs/bpf/enforcer/eth1
holds "the interface is added" play
holds "and protected" ls /sys/fs/bpf/enforcer/eth1
holds "a second run" play
holds "changes nothing" says 'ok=[0-9]+ +changed=0 .*failed=0'
printf 'interfaces: [eth0, eth1]\nroles: [no-such-role]\n' > site.yaml
holds "a site with a mistake fails" not play
holds "with the mistake" says 'no-such-role'
holds "and does not get to the host" not grep -q no-such-role /etc/enforcer/site.yaml
printf 'interfaces: [eth0, eth1]\nroles: [finesse]\n' > site.yaml
cat > required.yml <<'YAML'
- hosts: all
  gather_facts: false
  tasks:
    - enforcer.host.promote: {required: true}
YAML
holds "a host that has to be ready and is not fails" not play required.yml
holds "with the conditions that are not met" says 'not ready to enforce: .*audit'
holds "and stays in audit" mode audit
holds "check mode sees that a host is ready" play --check --extra-vars "$ready"
holds "and leaves it in audit" mode audit
holds "a host that is ready enforces" play --extra-vars "$ready"
holds "it does" mode enforce
holds "for good" bash -c "enforcer status --format json | grep -q '\"deadline\": null'"
holds "a second run" play --extra-vars "$ready"
holds "changes nothing" says 'ok=[0-9]+ +changed=0 .*failed=0'
printf 'interfaces: [eth0, eth1]\nroles: [finesse]\nmode: audit\n' > site.yaml
holds "a site that would end enforcement fails" not play
holds "and says so" says 'ends? enforcement'
holds "the host enforces still" mode enforce
cat > absent.yml <<'YAML'
- hosts: all
  gather_facts: false
  tasks:
    - enforcer.host.policy: {state: absent}
YAML
holds "check mode would end protection" play absent.yml --check
holds "as a change" says 'changed=1 '
holds "and does not" mode enforce
holds "protection ends" play absent.yml
holds "and nothing is left" not ls /sys/fs/bpf/enforcer/eth0 /sys/fs/bpf/enforcer/eth1
holds "a second time" play absent.yml
holds "changes nothing" says 'changed=0 '
echo "done"
