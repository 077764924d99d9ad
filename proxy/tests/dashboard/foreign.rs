//! Text of others: whoever may write an object must not write the page.

use serde_json::json;

use crate::world::{MANIFESTS, look};

const HOSTILE: &str = "<img src=x onerror=\"document.title='taken'\">";

#[test]
#[ignore = "needs Chromium: cargo xtask test dashboard"]
fn a_hostile_name_of_an_object_is_shown_as_text() {
    let name = HOSTILE.replace('"', "\\\"");
    let manifests = format!(
        "{MANIFESTS}---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: \"{name}\", namespace: shop}}\n\
         spec: {{rules: []}}\n"
    );
    look(&manifests, async |page, origin, _| {
        for view in ["overview", "problems"] {
            page.load(&format!("{origin}/#/{view}")).await;
            page.until("document.body.innerText.includes('<img src=x onerror=')").await;
            assert_eq!(page.evaluate("document.images.length").await, 0, "{view}");
            assert_ne!(page.evaluate("document.title").await, "taken", "{view}");
        }
    });
}

/// The names of objects are checked before they come this far; here nothing is.
#[test]
#[ignore = "needs Chromium: cargo xtask test dashboard"]
fn no_text_that_the_api_could_ever_say_becomes_markup() {
    let hostile = json!(HOSTILE);
    let spoil = format!(
        "(() => {{
           const asked = window.fetch;
           const plain = new Set(['started', 'lastChange', 'nextExpiry']);
           const spoil = (value, name) => typeof value === 'string' ? (plain.has(name) ? value : value + {hostile})
             : Array.isArray(value) ? value.map((one) => spoil(one, name))
             : value && typeof value === 'object'
             ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, name === 'outcome' && one.kind ? {{ ...spoil(one), kind: one.kind }} : spoil(one, name)]))
             : value;
           window.fetch = async (...question) => {{
             const answer = await asked(...question);
             return new Response(JSON.stringify(spoil(await answer.json())), {{ status: answer.status, headers: answer.headers }});
           }};
         }})()"
    );
    look(MANIFESTS, async |page, origin, _| {
        page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": spoil })).await;
        for view in ["overview", "routes", "endpoints", "addresses", "problems", "explain?url=http://shop.example.com/"]
        {
            page.load(&format!("{origin}/#/{view}")).await;
            page.until("document.querySelector('#view h1') && document.body.innerText.includes('<img src=x onerror=')")
                .await;
            assert_eq!(page.evaluate("document.images.length").await, 0, "{view}");
            assert_ne!(page.evaluate("document.title").await, "taken", "{view}");
        }
    });
}
