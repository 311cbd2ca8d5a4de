//! What docs/monitoring/ offers to Prometheus and Grafana: its files are read by the tools that they are for, and name
//! no metric that the crate does not emit.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|one: char| !one.is_ascii_alphanumeric() && one != '_');
    words.filter(|word| word.starts_with("webhook_")).map(str::to_owned).collect()
}

/// The metrics that the sources emit, with the names that the exporter gives the parts of a histogram.
fn emitted() -> BTreeSet<String> {
    let mut emitted = BTreeSet::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/observe")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for name in text.split('"').filter(|part| part.starts_with("webhook_") && names(part).contains(*part)) {
            emitted.extend(["", "_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
        }
    }
    emitted
}

#[test]
fn every_metric_that_is_named_is_emitted_and_documented() {
    let (emitted, documented) = (emitted(), names(&read("docs/observability.md")));
    for file in ["docs/monitoring/rules.yml", "docs/monitoring/grafana.json"] {
        let named = names(&read(file));
        assert!(named.len() > 8, "{file}: {named:?}");
        for name in named {
            assert!(emitted.contains(&name), "{file} names `{name}`, which is not emitted: {emitted:?}");
            let whole = name.trim_end_matches("_bucket");
            assert!(documented.contains(whole), "{file} names `{name}`, which docs/observability.md does not");
        }
    }
}

#[test]
fn prometheus_reads_the_rules() {
    let install = "apt-get install -y --no-install-recommends prometheus";
    let mut check = Command::new("promtool");
    check.args(["check", "rules", "docs/monitoring/rules.yml"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = check
        .output()
        .unwrap_or_else(|cause| panic!("promtool cannot be started ({cause}); install it with: {install}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn each_expression_of_the_grafana_dashboard_is_one_that_prometheus_reads() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("docs/monitoring/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let mut rules = "groups:\n  - name: grafana\n    rules:\n".to_owned();
    let mut count = 0;
    for target in targets {
        let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
        rules += &format!(
            "      - record: job:expression:{count}\n        expr: {}\n",
            serde_json::to_string(&expression).unwrap()
        );
        count += 1;
    }
    assert!(count > 12, "{count} expressions");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    fs::write(&file, rules).unwrap();
    let output = Command::new("promtool").args(["check", "rules"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
