//! The page in a browser: nothing is cut, nothing is wider than the window, and no word is broken.

use std::fs;

use enforcer::observe::report::Report;
use harness::browser::Browser;
use serde_json::Value;

use super::pages;
use super::{Folder, host};

/// The windows of phones, of tablets and of screens.
const WIDTHS: [u32; 4] = [390, 500, 768, 1280];

#[test]
fn at_every_width_all_of_the_page_can_be_read() {
    let Some(browser) = Browser::find() else {
        return harness::skip::skip("there is no chromium to open the page in (Debian: chromium)");
    };
    let protected = host();
    let folder = Folder::new(&protected.cable.near.interface);
    protected.run(&["report", "-o", &folder.path("real.html")]).expect_code(0);
    let made: [(&str, Report); 4] =
        [("empty", pages::empty()), ("hostile", pages::hostile()), ("crowd", pages::crowd()), ("year", pages::year())];
    for (name, report) in &made {
        let html = report.html().expect("charts can be drawn");
        fs::write(folder.path(&format!("{name}.html")), html).expect("there is room");
    }
    let names: Vec<&str> = made.iter().map(|(name, _)| *name).chain(["real"]).collect();
    let frames = include_str!("measure.html")
        .replace("PAGES", &Value::from(names.clone()).to_string())
        .replace("WIDTHS", &Value::from(WIDTHS.to_vec()).to_string());
    fs::write(folder.path("frames.html"), frames).expect("there is room");
    let dom = browser.dom(folder.path("frames.html").as_ref());
    let json = dom.split_once("measured: ").and_then(|(_, rest)| rest.split_once("</pre>"));
    let json = json.unwrap_or_else(|| panic!("nothing was measured: {dom}")).0;
    let found: Value = serde_json::from_str(json).expect("the script writes JSON");

    let mut wrong = Vec::new();
    for name in &names {
        for width in WIDTHS {
            let one = &found[format!("{name} {width}")];
            assert_eq!(one["width"], width, "{name} was not measured at {width}: {one}");
            wrong.extend(
                one["wrong"].as_array().expect("a list").iter().map(|text| format!("{name} at {width}: {text}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // All of the suggested YAML is there, and copied as it is written.
    for (name, report) in &made {
        let yaml = found[format!("{name} 390")]["yaml"].as_str().unwrap_or_default();
        assert_eq!(yaml.trim_end(), report.suggestions.yaml.trim_end(), "{name}");
    }
    let height = |name: &str, width: u32| found[format!("{name} {width}")]["height"].as_u64().expect("a height");
    // 64 ports are said to be alike, not listed: one table alone was three screens long.
    let (wide, narrow) = (height("crowd", 1280), height("crowd", 390));
    assert!(wide < 5_000 && narrow < 17_000, "{wide}, {narrow}");
    assert_eq!(found["year 390"]["charts"], 5, "modes, packets and flows, the latter in both directions");
    assert_eq!(found["empty 390"]["charts"], 0);
}

#[test]
fn a_browser_shows_the_page_in_light_and_dark() {
    use harness::browser::Scheme::{Dark, Light};
    let Some(browser) = Browser::find() else {
        return harness::skip::skip("there is no chromium to open the page in (Debian: chromium)");
    };
    let folder = Folder::new("schemes");
    let page = folder.path("report.html");
    fs::write(&page, pages::year().html().expect("charts can be drawn")).expect("there is room");
    let [light, dark] = [Light, Dark].map(|scheme| browser.picture(page.as_ref(), (1200, 1600), scheme));
    // An empty page of this size is a picture of a few kilobytes.
    assert!(light.len() > 30_000 && dark.len() > 30_000, "{}, {}", light.len(), dark.len());
    assert_ne!(light, dark, "dark is not light");
}
