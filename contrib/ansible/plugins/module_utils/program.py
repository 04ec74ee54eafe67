"""Running enforcer, for the modules of this collection. Tested with enforcer 0.1."""

import json


def run(module, words, codes=(0,)):
    """Runs the program; returns exit code and standard output. Any other exit code fails the task with what the program says."""
    code, out, err = module.run_command([module.params["executable"]] + words)
    if code not in codes:
        said = err.strip() or out.strip()
        module.fail_json(msg="`enforcer %s` ended with %d: %s" % (" ".join(words), code, said), rc=code)
    return code, out


def listing(module, words, codes=(0,)):
    """The same for a listing: exit code and what the JSON says."""
    code, out = run(module, words + ["--format", "json", "--quiet"], codes)
    return code, json.loads(out)


def interfaces(module):
    """What is protected. Exit code 1 says that something is not as it should be, which is no failure of the task."""
    return listing(module, ["status"], (0, 1))[1]["interfaces"]


def enforces(one):
    """Whether an interface enforces inbound."""
    return one["inbound"]["mode"] == "enforce"


def modes(one):
    """The modes of an interface, inbound and outbound."""
    return (one["inbound"]["mode"], one["outbound"]["mode"])
