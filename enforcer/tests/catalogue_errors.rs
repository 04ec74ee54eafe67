//! Every error of a catalogue of one's own, as its author sees it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use enforcer::policy::catalogue::from_directory;
use expect_test::{Expect, expect};

const HEAD: &str = "role: a\nproduct: P\nrelease: \"1\"\ndocument: d\nsummary: S.\n";

#[test]
fn an_empty_role() {
    check(
        "role: b\n",
        &expect![[r#"
        DIR/a.yaml:1:1: `product` is missing in a role
        DIR/a.yaml:1:1: `release` is missing in a role
        DIR/a.yaml:1:1: `document` is missing in a role
        DIR/a.yaml:1:1: `summary` is missing in a role
        DIR/a.yaml:1:7: the role is called `b` and its file `a.yaml`
    "#]],
    );
}

#[test]
fn wrong_services() {
    check(
        &format!(
            "{HEAD}services:\n  - name: Not Kebab\n    summary: S.\n    direction: sideways\n    source: {{table: 1}}\n    ports: [{{protocol: icmp, port: 80+}}]\n    colour: red\n  - {{name: b, summary: S., direction: in, source: {{table: 1, row: 0}}, ports: [{{protocol: tcp, port: 1, lenght: 5}}]}}\n"
        ),
        &expect![[r#"
            DIR/a.yaml:7:11: `Not Kebab` is not a name in kebab-case, such as `mds-private`
            DIR/a.yaml:9:16: expected `both`, `in`, `out`, `local` or `none`, found `sideways`
            DIR/a.yaml:10:13: `row` is missing in a source
            DIR/a.yaml:11:24: expected `tcp`, `udp` or `unspecified`, found `icmp`
            DIR/a.yaml:11:36: expected a port such as `443`, `16384-32767`, `41004 + 40 * instance` or `random`, found `80+`
            DIR/a.yaml:12:5: a service has no key `colour` (a service has name, summary, peers, direction, exposure, source, when, executable, account, doubt, dynamic, ephemeral, ports, remote)
            DIR/a.yaml:13:67: expected a row from 1 to 9999, found `0`
            DIR/a.yaml:13:104: a port has no key `lenght` (did you mean `length`?)
        "#]],
    );
}

#[test]
fn names_that_do_not_exist() {
    check(
        &format!(
            "{HEAD}includes: [zz]\nservices:\n  - {{name: b, summary: S., peers: [phone], direction: in, source: {{table: 1, row: 1}}, when: {{side: a}}, ports: [{{protocol: tcp, port: 1 + 40 * instance}}, {{protocol: tcp, port: 1, parameter: prot}}, {{protocol: udp, port: 2, source: {{document: e, table: 1, row: 1}}}}]}}\n  - {{name: b, summary: S., direction: in, source: {{table: 1, row: 2}}, ports: []}}\nparameters:\n  port: {{type: port, default: 1, summary: S.}}\n"
        ),
        &expect![[r#"
            DIR/a.yaml: `includes` names the role `zz`, and there is none
            DIR/a.yaml:8:12: `b`: no peer is called `phone` (did you mean `phones`?)
            DIR/a.yaml:8:12: `b`: the role has no parameter `side`
            DIR/a.yaml:8:12: `b`: no document is called `e`
            DIR/a.yaml:8:12: `b`: the role has no parameter `instance`
            DIR/a.yaml:8:12: `b`: the role has no parameter `prot` (did you mean `port`?)
            DIR/a.yaml:9:12: `b`: the name `b` stands twice in this role
        "#]],
    );
}

#[test]
fn wrong_parameters() {
    check(
        &format!(
            "{HEAD}parameters:\n  a: {{type: port, default: 0, summary: S.}}\n  b: {{type: number, default: 0, summary: S.}}\n  c: {{type: choice, values: [x, y], default: z, summary: S.}}\n  d: {{type: integer, summary: S.}}\n  e: {{type: port, default: 5, required: true, summary: S.}}\n"
        ),
        &expect![[r#"
            DIR/a.yaml:7:28: expected a port from 1 to 65535, found `0`
            DIR/a.yaml:8:13: expected `integer`, `choice`, `port` or `ports`, found `number`
            DIR/a.yaml:9:46: expected `x` or `y`, found `z`
            DIR/a.yaml:10:6: a parameter has a `default`, or is `required: true`
            DIR/a.yaml:11:6: a required parameter has no default
        "#]],
    );
}

#[test]
fn a_role_that_includes_itself() {
    check(
        &format!("{HEAD}includes: [a]\nparameters: {{mode: {{type: port, required: true, summary: S.}}}}\n"),
        &expect![[r#"
            DIR/a.yaml: `a` includes itself through `a`
            DIR/a.yaml: `a`: a parameter cannot be called `mode`
        "#]],
    );
}

#[test]
fn a_directory_without_a_catalogue() {
    let folder = folder();
    let error = from_directory(&folder).unwrap_err().to_string().replace(folder.to_str().unwrap(), "DIR");
    expect!["DIR holds no catalogue: it has no `peers.yaml`"].assert_eq(&error);
    let error = from_directory(&folder.join("none")).unwrap_err().to_string().replace(folder.to_str().unwrap(), "DIR");
    expect!["cannot read DIR/none: No such file or directory (os error 2)"].assert_eq(&error);
    fs::remove_dir_all(folder).unwrap();
}

/// The findings about a role `a` in a catalogue with one document `d` and one peer `phones`.
fn check(role: &str, expected: &Expect) {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("documents.yaml", "d: {title: T, product: P, release: \"1\"}\n");
    write("peers.yaml", "phones: {summary: S., roles: [a]}\n");
    write("a.yaml", role);
    let error = from_directory(&folder).unwrap_err().to_string();
    expected.assert_eq(&(error.replace(folder.to_str().unwrap(), "DIR") + "\n"));
    fs::remove_dir_all(folder).unwrap();
}

fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("enforcer-catalogue-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}
