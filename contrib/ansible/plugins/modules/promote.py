#!/usr/bin/python
"""Lets a host enforce that is ready for it."""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.enforcer.host.plugins.module_utils.program import enforces, interfaces, listing, run

DOCUMENTATION = r"""
module: promote
short_description: Let enforcer enforce if the host is ready
description:
  - Asks C(enforcer readiness), and if the host is ready, C(enforcer mode enforce --confirm-within). Enforcement ends by itself unless the
    same module confirms it by a new connection.
options:
  thresholds:
    description: Thresholds of C(enforcer readiness), without their dashes, such as C(min-hours).
    default: {}
    type: dict
  confirm_within:
    description: Time within which enforcement must be confirmed.
    default: 2m
    type: str
  confirm:
    description: Confirm an earlier change, and do nothing else.
    default: false
    type: bool
  required:
    description: Fail if the host is not ready.
    default: false
    type: bool
  executable:
    description: Path of the program.
    default: /usr/bin/enforcer
    type: path
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Enforce if the host is ready
  enforcer.host.promote:
    thresholds: {min-hours: 48}
  register: promoted
- name: Confirm
  enforcer.host.promote:
    confirm: true
  when: promoted.pending
"""

RETURN = r"""
ready:
  description: Whether the host is ready; a host that enforces is.
  returned: without confirm
  type: bool
missed:
  description: Names of the conditions that are not met.
  returned: without confirm
  type: list
pending:
  description: Whether the change has to be confirmed.
  returned: always
  type: bool
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "thresholds": {"type": "dict", "default": {}},
            "confirm_within": {"type": "str", "default": "2m"},
            "confirm": {"type": "bool", "default": False},
            "required": {"type": "bool", "default": False},
            "executable": {"type": "path", "default": "/usr/bin/enforcer"},
        },
        supports_check_mode=True,
    )
    protected = interfaces(module)
    if module.params["confirm"]:
        waits = any(one["deadline"] for one in protected)
        if waits and not module.check_mode:
            run(module, ["confirm"])
        module.exit_json(changed=waits, pending=False)
    if not protected:
        # In check mode, the task before this one may have been meant to protect it.
        if module.check_mode:
            module.exit_json(changed=False, ready=False, missed=["protection"], pending=False)
        module.fail_json(msg="no interface is protected; apply a site file first (enforcer.host.policy)")
    if all(enforces(one) for one in protected):
        module.exit_json(changed=False, ready=True, missed=[], pending=False)
    words = ["readiness"]
    for name, value in sorted(module.params["thresholds"].items()):
        words += ["--" + name, str(value)]
    code, found = listing(module, words, (0, 1))
    missed = [one["name"] for one in found["checks"] if not one["met"]]
    if code == 1:
        if module.params["required"]:
            module.fail_json(msg="the host is not ready to enforce: " + ", ".join(missed), missed=missed)
        module.exit_json(changed=False, ready=False, missed=missed, pending=False)
    if not module.check_mode:
        run(module, ["mode", "enforce", "--confirm-within", module.params["confirm_within"]])
    module.exit_json(changed=True, ready=True, missed=[], pending=not module.check_mode)


if __name__ == "__main__":
    main()
