//! What each view shows, and that it is shown to everybody: by keyboard, on a phone, to who cannot see.

use std::{fmt::Write as _, process::Command};

use serde_json::Value;

use crate::world::{MANIFESTS, look};

const VIEWS: [&str; 6] = ["overview", "routes", "endpoints", "addresses", "problems", "explain"];
const ROWS: &str = "document.querySelectorAll('#view tbody tr').length";

fn shows(title: &str) -> String {
    format!("document.querySelector('#view h1')?.textContent === '{title}'")
}

#[test]
#[ignore = "needs Chromium: cargo xtask test dashboard"]
fn the_overview_says_whether_the_node_is_well_at_both_of_its_places() {
    look(MANIFESTS, async |page, origin, _| {
        for path in ["/", "/dashboard/"] {
            page.load(&format!("{origin}{path}")).await;
            page.until(&shows("Overview")).await;
            let text = page.text().await;
            for wanted in ["ready", "Requests per second", "2 / 2", "shop/broken", "websecure", "bound"] {
                assert!(text.contains(wanted), "{wanted} in\n{text}");
            }
        }
    });
}

#[test]
#[ignore = "needs Chromium: cargo xtask test dashboard"]
fn a_search_from_the_keyboard_filters_routes_and_is_part_of_the_address() {
    look(MANIFESTS, async |page, origin, _| {
        page.load(&format!("{origin}/#/routes")).await;
        page.until(&format!("{ROWS} === 6")).await;
        page.press("/", "/").await;
        page.until("document.activeElement.type === 'search'").await;
        page.type_text("CART websecure").await;
        page.until(&format!("{ROWS} === 1")).await;
        let text = page.text().await;
        assert!(text.contains("1 rule fits") && text.contains("/cart") && text.contains("shop/marks"), "{text}");
        assert_eq!(page.evaluate("location.hash").await, "#/routes?q=CART+websecure");
        assert_eq!(page.evaluate("document.activeElement.value").await, "CART websecure", "what is typed stays");
        page.go("#/routes?state=closed").await;
        page.until(&format!("{ROWS} === 2")).await;
        assert!(page.text().await.contains("Service shop/missing does not exist"));
    });
}

#[test]
#[ignore = "needs Chromium: cargo xtask test dashboard"]
fn a_problem_is_shown_with_its_field_and_its_remedy_and_goes_when_it_is_mended() {
    look(MANIFESTS, async |page, origin, directory| {
        page.load(&format!("{origin}/#/problems")).await;
        page.until("document.querySelector('.remedy')").await;
        let text = page.text().await;
        for wanted in [
            "Ingress shop/broken",
            "spec.rules[0].http.paths[0].backend.service.name",
            "Service shop/missing does not exist",
            "add the Service, or correct the name",
        ] {
            assert!(text.replace('\n', " ").contains(wanted), "{wanted} in\n{text}");
        }
        let next = directory.join("next");
        std::fs::write(&next, MANIFESTS.replace("name: missing", "name: web")).expect("written");
        std::fs::rename(&next, directory.join("all.yaml")).expect("renamed");
        page.until("document.body.innerText.includes('every object is in force')").await;
    });
}

#[test]
#[ignore = "needs Chromium: cargo xtask test dashboard"]
fn explain_says_what_postern_explain_says() {
    look(MANIFESTS, async |page, origin, directory| {
        let url = "https://shop.example.com/cart/1";
        let explain = Command::new(env!("CARGO_BIN_EXE_postern"))
            .args(["explain", "--manifests"])
            .arg(directory)
            .args(["-X", "POST", "--output", "json", url])
            .output()
            .expect("it runs");
        let said: Value = serde_json::from_slice(&explain.stdout).expect("JSON");
        assert_eq!(said["outcome"]["route"], "Ingress shop/web", "{said}");
        page.load(&format!("{origin}/#/explain")).await;
        page.until(&shows("Explain")).await;
        page.evaluate("document.querySelector('select').value = 'POST'").await;
        page.evaluate("document.querySelector('[name=url]').focus()").await;
        page.type_text(url).await;
        page.press("Enter", "\r").await;
        page.until("document.querySelector('.way')").await;
        let text = page.text().await.replace(['\n', '\t'], " ");
        let mut wanted = vec![
            "wins Ingress shop/web rule 0".to_owned(),
            format!("POST {url}"),
            "headers shop/marks".to_owned(),
            "basicAuth shop/users".to_owned(),
            "shop/web:80".to_owned(),
            "192.0.2.8:8080".to_owned(),
        ];
        let losers = said["losers"].as_array().expect("losers");
        assert!(!losers.is_empty(), "{said}");
        wanted.extend(losers.iter().map(|loser| loser["reason"].as_str().unwrap_or_default().to_owned()));
        for wanted in wanted {
            assert!(text.contains(&wanted), "{wanted} in\n{text}");
        }
        assert_eq!(page.evaluate("document.querySelectorAll('#view tbody tr').length").await, losers.len());
        page.go("#/explain?url=nonsense").await;
        page.until("document.body.innerText.includes('is not an absolute http or https URL')").await;
    });
}

#[test]
#[ignore = "needs Chromium: cargo xtask test dashboard"]
fn ten_thousand_routes_are_a_page_at_a_time() {
    let mut manifests = MANIFESTS.to_owned();
    for at in 0..5_000 {
        write!(
            manifests,
            "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: many-{at}, namespace: shop}}\nspec:\n  \
             rules:\n  - host: h{at}.example.com\n    http:\n      paths:\n      - {{path: /, pathType: Prefix, backend: \
             {{service: {{name: web, port: {{number: 80}}}}}}}}\n"
        )
        .expect("written");
    }
    look(&manifests, async |page, origin, _| {
        page.load(&format!("{origin}/#/routes?page=3")).await;
        page.until(&format!("{ROWS} === 100")).await;
        let text = page.text().await;
        assert!(text.contains("10\u{202f}006 rules") && text.contains("Page 3 of 101"), "{text}");
        page.go("#/routes?q=h4321.example.com").await;
        page.until(&format!("{ROWS} === 2")).await;
    });
}

#[test]
#[ignore = "needs Chromium: cargo xtask test dashboard"]
fn every_view_fits_a_phone_names_its_controls_and_shows_no_secret() {
    look(MANIFESTS, async |page, origin, _| {
        page.load(&format!("{origin}/")).await;
        for view in VIEWS {
            page.go(&format!("#/{view}")).await;
            let title =
                format!("{}{}", view.get(..1).unwrap_or_default().to_uppercase(), view.get(1..).unwrap_or_default());
            page.until(&shows(&title)).await;
            page.until(&format!(
                "document.querySelector('nav [aria-current=page]')?.textContent.startsWith('{title}')"
            ))
            .await;
            for (width, height) in [(360, 740), (1400, 900)] {
                page.resize(width, height).await;
                let over = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
                assert_eq!(page.evaluate(over).await, 0, "{view} at {width}");
            }
            let page_source = page.evaluate("document.documentElement.outerHTML").await.to_string();
            assert!(!page_source.contains("hidden-value") && !page_source.contains("hidden00"), "{view}");
            assert_named(&page.call("Accessibility.getFullAXTree", serde_json::json!({})).await, view);
        }
    });
}

/// What is operated has a name that is read out.
fn assert_named(tree: &Value, view: &str) {
    const OPERATED: [&str; 5] = ["button", "link", "textbox", "searchbox", "combobox"];
    let nodes = tree["nodes"].as_array().expect("nodes");
    let operated = nodes
        .iter()
        .filter(|node| node["ignored"] != true && OPERATED.iter().any(|role| node["role"]["value"] == *role));
    let mut count = 0;
    for node in operated {
        count += 1;
        assert!(node["name"]["value"].as_str().is_some_and(|name| !name.is_empty()), "{view}: {node}");
    }
    assert!(count >= 8, "{view}: {count}");
    for role in ["main", "navigation", "banner", "heading"] {
        assert!(nodes.iter().any(|node| node["role"]["value"] == role), "{view} has no {role}");
    }
}
