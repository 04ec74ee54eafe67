//! The map of an estate in a browser: its matrix, its filters, its keys, and that nothing is wider than a telephone.

use std::fs;
use std::path::Path;

use enforcer::estate::ends::Ends;
use enforcer::estate::map::map;
use enforcer::policy::catalogue::embedded;
use enforcer::policy::estate::read;
use enforcer::text::diagnostic::Text;
use harness::browser::Browser;
use serde_json::Value;

/// Opens the map in a frame as wide as a telephone, uses it as a reader does, and writes down what there is.
const USE: &str = r#"<!doctype html><meta charset="utf-8"><iframe id="map" width="390" height="800" src="map.html"></iframe><pre id="out"></pre>
<script>
document.getElementById("map").addEventListener("load", () => {
  const page = document.getElementById("map").contentDocument, view = page.defaultView;
  const found = { width: page.documentElement.scrollWidth, buttons: page.querySelectorAll(".matrix button").length };
  found.unlabelled = [...page.querySelectorAll(".matrix button")].filter(one => !one.getAttribute("aria-label")).length;
  const first = page.querySelector(".matrix button");
  first.focus(); first.click();
  found.pair = page.getElementById("pair").textContent;
  found.lines = page.querySelectorAll(".list tbody tr").length;
  first.dispatchEvent(new view.KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
  found.moved = page.activeElement !== first && page.activeElement.tagName === "BUTTON";
  const set = (id, value) => { const one = page.getElementById(id); one.value = value; one.dispatchEvent(new view.Event("input", { bubbles: true })); };
  set("rows", "hosts"); set("who", "rtr-b"); set("port", "41044");
  found.text = [...page.querySelectorAll(".list tbody tr")].map(row => [...row.cells].map(cell => cell.textContent).join(" | "));
  found.wide = page.documentElement.scrollWidth;
  document.getElementById("out").textContent = "measured: " + JSON.stringify(found);
});
</script>"#;

#[test]
fn the_map_of_the_reference_estate_can_be_used_on_a_telephone() {
    let Some(browser) = Browser::find() else {
        return harness::skip::skip("there is no chromium to open the page in (Debian: chromium)");
    };
    let catalogue = embedded().expect("the built-in catalogue is sound");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/estate/estate.yaml");
    let text = fs::read_to_string(path).expect("the example is there");
    let estate = read(Text::new("estate.yaml", text), catalogue).expect("it is right");
    let ends = Ends::new(&estate, catalogue, jiff::civil::date(2026, 11, 30)).expect("it compiles");
    let folder = std::env::temp_dir().join(format!("enforcer-map-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("there is room");
    fs::write(folder.join("map.html"), map(&ends).expect("it is JSON")).expect("there is room");
    fs::write(folder.join("use.html"), USE).expect("there is room");
    let dom = browser.dom(&folder.join("use.html"));
    fs::remove_dir_all(&folder).ok();
    let json = dom.split_once("<pre id=\"out\">measured: ").and_then(|(_, rest)| rest.split_once("</pre>"));
    let json =
        json.unwrap_or_else(|| panic!("nothing was measured: {dom}")).0.replace("&gt;", ">").replace("&amp;", "&");
    let found: Value = serde_json::from_str(&json).expect("the script writes JSON");
    assert!(
        found["width"].as_u64().expect("a width") <= 390 && found["wide"].as_u64().expect("a width") <= 390,
        "{found}"
    );
    assert!(found["buttons"].as_u64().expect("a number") > 100, "{found}");
    assert_eq!(found["unlabelled"], 0);
    assert!(found["pair"].as_str().expect("a text").contains(" to ") && found["lines"].as_u64() > Some(0), "{found}");
    assert_eq!(found["moved"], true, "{found}");
    let lines: Vec<&str> = found["text"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let expected = "rtr-a | rtr-b | tcp 41044-41045, 41056, 41060-41062, 41072-41073 | cce-router/mds-private (cce 2:1) | cce-router/mds-private (cce 2:1)";
    assert!(lines.contains(&expected), "{lines:#?}");
    // Who filters by a port sees no other.
    assert!(lines.iter().all(|line| line.contains("4104")), "{lines:#?}");
}
