#!/usr/bin/python
"""Applies a site file of enforcer, or ends protection."""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.enforcer.host.plugins.module_utils.program import interfaces, listing, modes, run

DOCUMENTATION = r"""
module: policy
short_description: Apply a site file of enforcer, or end protection
description:
  - Applies the site file if the policy that it compiles to is not the active one on a protected interface, if the file names an interface of
    this host that is not protected yet, or if applying the file would change the mode of an interface.
  - A file that would end enforcement fails the task, because C(enforcer apply) refuses it.
options:
  site:
    description: Path of the site file on the host. Required for O(state=present).
    type: path
  state:
    description: V(present) applies the file, V(absent) detaches every interface.
    choices: [present, absent]
    default: present
    type: str
  executable:
    description: Path of the program.
    default: /usr/bin/enforcer
    type: path
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Apply the site file
  enforcer.host.policy:
    site: /etc/enforcer/site.yaml
"""

RETURN = r"""
policy_hash:
  description: Hash of the policy that is wanted.
  returned: state is present
  type: str
interfaces:
  description: Names of the interfaces that were protected before.
  returned: always
  type: list
"""


def differs(before, policy_hash, wanted):
    """Whether applying would change something: another policy, an interface that is not protected yet, or another mode."""
    protected = {one["interface"]: modes(one) for one in before}
    if not before or any(one["policy_hash"] != policy_hash for one in before):
        return True
    # A pattern, or an interface that is not here, has no modes.
    here = [one for one in wanted if one["inbound"] and one["outbound"]]
    return any(protected.get(one["interface"]) != (one["inbound"], one["outbound"]) for one in here)


def main():
    module = AnsibleModule(
        argument_spec={
            "site": {"type": "path"},
            "state": {"choices": ["present", "absent"], "default": "present"},
            "executable": {"type": "path", "default": "/usr/bin/enforcer"},
        },
        required_if=[("state", "present", ["site"])],
        supports_check_mode=True,
    )
    before = interfaces(module)
    result = {"interfaces": [one["interface"] for one in before]}
    if module.params["state"] == "absent":
        result["changed"] = bool(before)
        if before and not module.check_mode:
            run(module, ["detach"])
        module.exit_json(**result)
    site = module.params["site"]
    result["policy_hash"] = listing(module, ["compile", site])[1]["policy_hash"]
    result["changed"] = differs(before, result["policy_hash"], listing(module, ["check", site])[1]["modes"])
    if result["changed"] and not module.check_mode:
        run(module, ["apply", site])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
