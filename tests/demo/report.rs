//! The demo's output, and its check of every outcome.

use harness::attempts::Attempt;
use harness::enforcer::Counters;
use harness::sockets::Reply;
use harness::table::table;
use serde_json::Value;

/// Collects the outcomes that differ from the policy.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) wrong: Vec<String>,
}

impl Report {
    /// Compares an outcome with the policy, and returns its row of the table.
    pub(crate) fn judge(&mut self, mode: &str, attempt: &Attempt, reply: Reply, counted: &Counters) -> Vec<String> {
        let Attempt { who, from, protocol, port, says, .. } = attempt;
        let arrived = reply == Reply::Answered;
        let arrives = says.is_ok() || mode == "audit";
        let (name, verdict) = match says {
            Ok(rule) => (format!("inbound rule {rule}"), "pass"),
            Err(reason) => {
                let verdict = if mode == "audit" { "would_drop" } else { "drop" };
                (format!("inbound reason {reason} {verdict}"), verdict)
            }
        };
        let as_expected = arrived == arrives
            && counted.of_name(&name) > 0
            && counted.of_name(&format!("inbound verdict {verdict}")) > 0
            // The drop is judged by its packets, the pass by its rule: a permitted client has no packet refused.
            && (says.is_err() || counted.of_name("inbound verdict drop") == 0);
        if !as_expected {
            self.wrong.push(format!(
                "{mode}: {protocol} {port} from {from}: policy: {says:?}; arrived: {arrived}; counted: {:?}",
                counted.packets
            ));
        }
        let (policy, why) = match says {
            Ok(rule) => ("pass", (*rule).to_owned()),
            Err(reason) => ("refuse", (*reason).to_owned()),
        };
        vec![
            format!("{from} ({who})"),
            format!("{protocol} {port}"),
            policy.to_owned(),
            why,
            if arrived { "yes" } else { "no" }.to_owned(),
            format!("{}{}", counted_as(counted), if as_expected { "" } else { "   <-- differs from the policy" }),
        ]
    }
}

/// The verdicts under which the packets of an attempt were counted.
fn counted_as(counted: &Counters) -> String {
    let verdicts = ["pass", "drop", "would_drop"].iter().filter_map(|verdict| {
        let packets = counted.of_name(&format!("inbound verdict {verdict}"));
        (packets > 0).then(|| format!("{} {packets}", verdict.replace('_', " ")))
    });
    verdicts.collect::<Vec<_>>().join(", ")
}

/// The rules and the reasons that counted anything.
pub(crate) fn counters(json: &Value, interface: &str) -> String {
    let empty = Vec::new();
    let all = json["interfaces"].as_array().unwrap_or(&empty);
    let Some(one) = all.iter().find(|one| one["interface"] == interface) else {
        return format!("no counters for {interface}\n");
    };
    let used = |list: &Value| -> Vec<Value> {
        let list = list.as_array().cloned().unwrap_or_default();
        list.into_iter().filter(|entry| entry["packets"].as_u64() > Some(0)).collect()
    };
    let rules: Vec<_> = used(&one["rules"])
        .iter()
        .map(|rule| vec![text(&rule["id"]), text(&rule["packets"]), text(&rule["bytes"]), sources(rule)])
        .collect();
    let reasons: Vec<_> = used(&one["reasons"])
        .iter()
        .map(|reason| {
            ["direction", "reason", "verdict", "packets", "bytes"].iter().map(|field| text(&reason[field])).collect()
        })
        .collect();
    format!(
        "{}\n{}",
        table(&["rule", "packets", "bytes", "permitted by"], &rules),
        table(&["direction", "reason", "verdict", "packets", "bytes"], &reasons)
    )
}

fn sources(rule: &Value) -> String {
    let rows = rule["sources"].as_array().cloned().unwrap_or_default();
    let rows = rows
        .iter()
        .map(|row| format!("{} table {} row {}", text(&row["document"]), text(&row["table"]), text(&row["row"])));
    rows.collect::<Vec<_>>().join(", ")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
