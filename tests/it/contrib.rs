//! What is in `contrib/` for Prometheus and Grafana: its expressions are right, and its metrics are ours.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use harness::enforcer::Protected;
use harness::netns::Cable;
use harness::promtool::promtool;
use serde_json::{Value, json};

const RULES: &str = include_str!("../../contrib/prometheus/enforcer.rules.yml");
const DASHBOARD: &str = include_str!("../../contrib/grafana/enforcer.json");
/// Where the agent names its own metrics, which only a running one serves.
const AGENT: &str = include_str!("../../enforcer/src/agent/numbers.rs");
const SITE: &str = "\
interfaces: [IF]
roles: []
allow:
  - {name: https, protocol: tcp, ports: [443]}
";

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).expect("the dashboard is JSON")
}

/// Every expression of the dashboard, with Grafana's variables replaced as Grafana does.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if let (Value::String(text), "expr") = (value, key.as_str()) {
                    let text = text.replace("$__rate_interval", "5m");
                    found.push(text.replace("$instance", ".*").replace("$interface", ".*"));
                } else {
                    expressions(value, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("enforcer_")).map(str::to_owned).collect()
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    let protected = Protected::apply_site(Cable::new(), SITE, &["--hook", "tc"]);
    let printed = protected.run(&["counters", "--format", "prometheus", "--detail", "full"]).expect_code(0).stdout;
    let asked: BTreeSet<String> = metrics(RULES).into_iter().chain(metrics(DASHBOARD)).collect();
    assert!(asked.len() > 12, "{asked:?}");
    for name in asked {
        let is_agents = name.strip_prefix("enforcer_agent_").is_some_and(|own| AGENT.contains(&format!("\"{own}\"")));
        assert!(is_agents || printed.contains(&format!("# TYPE {name} ")), "{name}");
    }
}

#[test]
fn promtool_accepts_the_alerts_and_every_expression_of_the_dashboard() {
    let program = match promtool() {
        Ok(program) => program,
        Err(why) => return harness::skip::skip(why),
    };
    check(program, "alerts", RULES);
    let mut found = Vec::new();
    expressions(&dashboard(), &mut found);
    assert!(found.len() > 10, "{found:?}");
    let record =
        |(index, expr): (usize, &String)| json!({"record": format!("dashboard:expression_{index}"), "expr": expr});
    let rules: Vec<Value> = found.iter().enumerate().map(record).collect();
    // JSON is YAML too.
    check(program, "dashboard", &json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string());
    // And it does look.
    assert!(!accepts(program, "wrong", "groups: [{name: x, rules: [{record: y, expr: 'sum('}]}]").0);
}

fn check(program: &Path, name: &str, text: &str) {
    let (accepted, said) = accepts(program, name, text);
    assert!(accepted, "{name}: {said}");
}

fn accepts(program: &Path, name: &str, text: &str) -> (bool, String) {
    let file = env::temp_dir().join(format!("enforcer-contrib-{}-{name}.yml", std::process::id()));
    fs::write(&file, text).expect("there is room");
    let output = Command::new(program).args(["check", "rules"]).arg(&file).output();
    fs::remove_file(&file).expect("it was written");
    let output = output.expect("it starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
