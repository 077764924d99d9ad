//! The dashboard's files, as they lie in `proxy/assets/dashboard`: part of the binary, served as they are, at `/` and at
//! `/dashboard/`, where Traefik has its own.
//!
//! No file is made here and nothing is filled in: what is shown comes from `/api/v1/`, by GET alone.

use http::{HeaderValue, StatusCode, header};

use super::api::{Answer, response, text};

/// Scripts and styles of ours and nothing else: no inline code, no other host, no form that leaves the page, no HTML made
/// from text (`trusted-types`).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

struct File {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($content_type:ident $path:literal,)*) => {
        &[$(File {
            path: $path,
            content_type: $content_type,
            bytes: include_bytes!(concat!("../../assets/dashboard/", $path)),
        }),*]
    };
}

const FILES: &[File] = files![
    HTML "index.html",
    PICTURE "icon.svg",
    SCRIPT "app/api.js",
    SCRIPT "app/clock.js",
    SCRIPT "app/dom.js",
    SCRIPT "app/main.js",
    SCRIPT "app/part.js",
    SCRIPT "app/place.js",
    SCRIPT "app/theme.js",
    SCRIPT "app/view/addresses.js",
    SCRIPT "app/view/endpoints.js",
    SCRIPT "app/view/explain.js",
    SCRIPT "app/view/overview.js",
    SCRIPT "app/view/problems.js",
    SCRIPT "app/view/routes.js",
    STYLE "style/base.css",
    STYLE "style/frame.css",
    STYLE "style/part.css",
    STYLE "style/view.css",
];

/// The answer to a GET of `path`, if it is one of the dashboard's.
pub(super) fn find(path: &str) -> Option<Answer> {
    if path == "/dashboard" {
        return Some(moved());
    }
    let path = path.strip_prefix("/dashboard").unwrap_or(path).strip_prefix('/')?;
    let path = if path.is_empty() { "index.html" } else { path };
    FILES.iter().find(|file| file.path == path).map(answer)
}

fn answer(file: &File) -> Answer {
    let mut answer = response(StatusCode::OK, file.content_type, file.bytes);
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    answer
}

/// The page's links are relative to a folder, and so is this: a route may have taken a prefix away.
fn moved() -> Answer {
    let mut answer = text(StatusCode::PERMANENT_REDIRECT, "");
    answer.headers_mut().insert(header::LOCATION, HeaderValue::from_static("dashboard/"));
    answer
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn walk(folder: &Path, found: &mut Vec<String>, root: &Path) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found, root);
            } else {
                found.push(path.strip_prefix(root).expect("inside").display().to_string());
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served_and_no_other() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/dashboard");
        let (mut there, mut served) = (Vec::new(), FILES.iter().map(|file| file.path.to_owned()).collect::<Vec<_>>());
        walk(&root, &mut there, &root);
        there.sort();
        served.sort();
        assert_eq!(there, served);
    }

    #[test]
    fn the_page_is_at_both_places_and_nothing_beside_its_files() {
        for (path, status) in [
            ("/", Some(200)),
            ("/dashboard", Some(308)),
            ("/dashboard/", Some(200)),
            ("/app/main.js", Some(200)),
            ("/dashboard/app/main.js", Some(200)),
            ("/app", None),
            ("/app/../index.html", None),
            ("/dashboardapp/main.js", None),
            ("//", None),
            ("", None),
        ] {
            assert_eq!(find(path).map(|answer| answer.status().as_u16()), status, "{path}");
        }
    }

    /// Text of objects becomes text on the page by construction: nothing here makes HTML, code or a style of a string,
    /// sends anything but GET, or names another host.
    #[test]
    fn no_file_has_what_could_run_foreign_text_or_change_anything() {
        const FORBIDDEN: [&str; 14] = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
            "srcdoc",
            "style=",
            "onclick=",
            "javascript:",
            "method:",
            "http://",
            "https://",
        ];
        // The name of a language, and an example in an empty field.
        const NO_LINKS: [&str; 2] = ["http://www.w3.org/2000/svg", "https://shop.example.com/cart?x=1"];
        for file in FILES {
            let text = std::str::from_utf8(file.bytes).expect("text");
            let text = NO_LINKS.iter().fold(text.to_owned(), |text, link| text.replace(link, ""));
            let found: Vec<_> = FORBIDDEN.iter().filter(|word| text.contains(**word)).collect();
            assert!(found.is_empty(), "{} has {found:?}", file.path);
        }
    }
}
