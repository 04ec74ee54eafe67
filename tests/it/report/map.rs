//! The map of an estate in a browser: its matrix, its filters, its keys, and that nothing is wider than a telephone.

use std::fs;
use std::path::{Path, PathBuf};

use enforcer::estate::ends::Ends;
use enforcer::estate::map::map;
use enforcer::policy::catalogue::embedded;
use enforcer::policy::estate::read;
use enforcer::text::diagnostic::Text;
use harness::browser::{Browser, Scheme};
use harness::estate::large::large;
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

/// The same with hundreds of hosts, on a screen: rows are made when somebody comes near them, and one button is reached by Tab.
const MANY: &str = r#"<!doctype html><meta charset="utf-8"><iframe id="map" width="1200" height="800" src="map.html"></iframe><pre id="out"></pre>
<script>
document.getElementById("map").addEventListener("load", () => {
  const page = document.getElementById("map").contentDocument, view = page.defaultView;
  const rows = () => page.querySelectorAll(".matrix tbody tr").length;
  const found = { groups: rows() };
  const choose = page.getElementById("rows");
  choose.value = "hosts"; choose.dispatchEvent(new view.Event("input", { bubbles: true }));
  found.first = rows();
  found.all = Number(page.querySelector(".matrix").getAttribute("aria-rowcount")) - 1;
  page.querySelector(".matrix button").focus();
  for (let step = 0; step < 90; step++) page.activeElement.dispatchEvent(new view.KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
  found.moved = page.activeElement.closest("tr").rowIndex;
  found.later = rows();
  found.stops = page.querySelectorAll('.matrix button[tabindex="0"]').length;
  view.dispatchEvent(new view.Event("beforeprint"));
  found.printed = rows();
  document.getElementById("out").textContent = "measured: " + JSON.stringify(found);
});
</script>"#;

/// A map in a folder of its own.
struct Opened {
    browser: Browser,
    folder: PathBuf,
    bytes: usize,
}

impl Opened {
    /// `None`, and it is said why, where there is no browser.
    fn new(text: &str, name: &str) -> Option<Self> {
        let Some(browser) = Browser::find() else {
            harness::skip::skip("there is no chromium to open the page in (Debian: chromium)");
            return None;
        };
        let catalogue = embedded().expect("the built-in catalogue is sound");
        let estate = read(Text::new("estate.yaml", text), catalogue).unwrap_or_else(|wrong| panic!("{wrong}"));
        let ends = Ends::new(&estate, catalogue, jiff::civil::date(2026, 11, 30)).expect("it compiles");
        let folder = std::env::temp_dir().join(format!("enforcer-map-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("there is room");
        let page = map(&ends).expect("it is JSON");
        fs::write(folder.join("map.html"), &page).expect("there is room");
        Some(Self { browser, folder, bytes: page.len() })
    }

    /// What a page measures that frames the map.
    fn measured(&self, page: &str) -> Value {
        fs::write(self.folder.join("use.html"), page).expect("there is room");
        let dom = self.browser.dom(&self.folder.join("use.html"));
        let json = dom.split_once("<pre id=\"out\">measured: ").and_then(|(_, rest)| rest.split_once("</pre>"));
        let json =
            json.unwrap_or_else(|| panic!("nothing was measured: {dom}")).0.replace("&gt;", ">").replace("&amp;", "&");
        serde_json::from_str(&json).expect("the script writes JSON")
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn reference() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/estate/estate.yaml");
    fs::read_to_string(path).expect("the example is there")
}

#[test]
fn the_map_of_the_reference_estate_can_be_used_on_a_telephone() {
    let Some(opened) = Opened::new(&reference(), "telephone") else { return };
    let found = opened.measured(USE);
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

#[test]
fn the_map_of_three_hundred_hosts_can_be_used_printed_and_read_in_the_dark() {
    let Some(opened) = Opened::new(&large(&reference(), 5, 100), "many") else { return };
    assert!(opened.bytes < 2 << 20, "{} bytes", opened.bytes);
    let found = opened.measured(MANY);
    let number = |name: &str| found[name].as_u64().unwrap_or_else(|| panic!("{name}: {found}"));
    assert!(number("groups") < 100 && number("all") > 290, "{found}");
    assert!(number("first") < number("all") && number("moved") > number("first"), "{found}");
    assert!(number("later") >= number("moved"), "{found}");
    assert_eq!((number("stops"), number("printed")), (1, number("all")), "{found}");
    let page = opened.folder.join("map.html");
    let [light, dark] = [Scheme::Light, Scheme::Dark].map(|scheme| opened.browser.picture(&page, (1200, 900), scheme));
    assert!(light.len() > 20_000 && dark.len() > 20_000, "{}, {}", light.len(), dark.len());
    assert_ne!(light, dark, "dark is not light");
}
