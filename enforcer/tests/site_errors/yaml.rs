//! What is no YAML, or none that a site may have.

use expect_test::expect;

use super::check;

#[test]
fn an_empty_file() {
    check(
        "",
        &expect![[r#"
        error: the file is empty
        --> site.yaml
    "#]],
    );
}

#[test]
fn only_a_comment() {
    check(
        "# nothing\n",
        &expect![[r#"
        error: the file is empty
        --> site.yaml
    "#]],
    );
}

#[test]
fn null() {
    check(
        "~\n",
        &expect![[r#"
        error: expected a site, found nothing
         --> site.yaml:1:1
          |
        1 | ~
          | ^
    "#]],
    );
}

#[test]
fn a_list_instead_of_a_site() {
    check(
        "- unity-connection\n",
        &expect![[r#"
        error: expected a site, found a list
         --> site.yaml:1:1
          |
        1 | - unity-connection
          | ^
    "#]],
    );
}

#[test]
fn duplicate_keys() {
    check(
        "interfaces: [eth0]\nroles: [vvb]\nmode: audit\nmode: enforce\npeers:\n  phones: [10.0.0.1]\n  phones: [10.0.0.2]\n",
        &expect![[r#"
            error: the key `mode` stands twice
             --> site.yaml:4:1
              |
            4 | mode: enforce
              | ^^^^
              |
              = help: its first value is on line 3

            error: the key `phones` stands twice
             --> site.yaml:7:3
              |
            7 |   phones: [10.0.0.2]
              |   ^^^^^^
              |
              = help: its first value is on line 6
        "#]],
    );
}

#[test]
fn a_tab() {
    check(
        "interfaces: [eth0]\nroles:\n\t- vvb\n",
        &expect![[r#"
        error: a tab indents this line, and YAML allows only spaces there
         --> site.yaml:3:1
          |
        3 |     - vvb
          | ^^^^
          |
          = help: replace the tab by spaces
    "#]],
    );
}

#[test]
fn an_open_bracket() {
    check(
        "interfaces: [eth0\nroles: [vvb]\n",
        &expect![[r#"
        error: this is not YAML: illegal placement of ':' indicator
         --> site.yaml:2:6
          |
        2 | roles: [vvb]
          |      ^
    "#]],
    );
}

#[test]
fn an_unclosed_quote() {
    check(
        "interfaces: [\"eth0]\nroles: [vvb]\n",
        &expect![[r#"
        error: this is not YAML: unclosed quote
         --> site.yaml:1:14
          |
        1 | interfaces: ["eth0]
          |              ^
    "#]],
    );
}

#[test]
fn two_documents() {
    check(
        "interfaces: [eth0]\nroles: [vvb]\n---\nroles: [cuic]\n",
        &expect![[r#"
        error: a second document starts here; one file holds one
         --> site.yaml:3:1
          |
        3 | ---
          | ^^^
    "#]],
    );
}

#[test]
fn anchors_aliases_and_tags() {
    check(
        "interfaces: &i [eth0]\nroles: !!str [vvb]\npeers: {cluster: *i}\n",
        &expect![[r#"
        error: anchors are not used here
         --> site.yaml:1:16
          |
        1 | interfaces: &i [eth0]
          |                ^
          |
          = help: write the value out where it is needed

        error: tags are not used here
         --> site.yaml:2:14
          |
        2 | roles: !!str [vvb]
          |              ^
          |
          = help: write the value without its tag

        error: aliases are not used here
         --> site.yaml:3:18
          |
        3 | peers: {cluster: *i}
          |                  ^^
          |
          = help: write the value out
    "#]],
    );
}

#[test]
fn a_merge_key() {
    check(
        "interfaces: [eth0]\nroles: [vvb]\n<<: {mode: audit}\n",
        &expect![[r#"
            error: a site has no key `<<`
             --> site.yaml:3:1
              |
            3 | <<: {mode: audit}
              | ^^
              |
              = help: a site has estate, host, interfaces, roles, peers, remote, mode, outbound, ephemeral, icmp_echo, scope, flows, release, allow, deny, limit
        "#]],
    );
}

#[test]
fn a_key_that_is_a_list() {
    check(
        "[a, b]: 1\n",
        &expect![[r#"
        error: expected a key, found a list
         --> site.yaml:1:1
          |
        1 | [a, b]: 1
          | ^
    "#]],
    );
}

#[test]
fn control_characters_stay_out_of_the_terminal() {
    check(
        "interfaces: [eth0]\nroles: [\"\u{1b}[31mvvb\"]\n",
        &expect![[r#"
        error: this is not YAML: unexpected character: `\u{1b}'
         --> site.yaml:2:10
          |
        2 | roles: ["�[31mvvb"]
          |          ^
    "#]],
    );
}
