//! Parameters of a question, and the part of a list that they ask for.

use serde::Serialize;

/// Entries of one list that are shown when `limit` does not say otherwise.
const LIMIT: usize = 1000;
/// More are never shown in one answer.
const MOST: usize = 100_000;

/// Parameters of the query, percent-decoded, in order.
pub(in crate::admin) struct Query(Vec<(String, String)>);

/// A part of a list.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct Page<T> {
    /// Entries that fit, shown or not.
    pub(in crate::admin) total: usize,
    /// Those that are shown.
    pub(in crate::admin) items: Vec<T>,
}

/// The words of a search: all must be found, each in any of the texts.
#[derive(Debug)]
pub(in crate::admin) struct Words(Vec<String>);

impl Query {
    pub(in crate::admin) fn parse(text: &str) -> Self {
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect(),
        )
    }

    pub(in crate::admin) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(in crate::admin) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether `value` is what `name` asks for, if it asks for anything.
    pub(in crate::admin) fn fits(&self, name: &str, value: &str) -> bool {
        self.get(name).is_none_or(|wanted| wanted == value)
    }

    /// What `name` asks to search for.
    pub(in crate::admin) fn words(&self, name: &str) -> Words {
        Words(self.get(name).unwrap_or_default().split_whitespace().map(str::to_lowercase).collect())
    }

    fn number(&self, name: &str, otherwise: usize) -> usize {
        self.get(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    }
}

impl Words {
    /// Whether everything is a match.
    pub(in crate::admin) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each word is found in one of `texts`, in whatever case.
    pub(in crate::admin) fn are_in(&self, texts: &[String]) -> bool {
        self.is_empty() || {
            let texts: Vec<_> = texts.iter().map(|text| text.to_lowercase()).collect();
            self.0.iter().all(|word| texts.iter().any(|text| text.contains(word)))
        }
    }
}

impl<T> Page<T> {
    /// The part of `items` that `offset` and `limit` ask for.
    pub(in crate::admin) fn cut(items: impl Iterator<Item = T>, query: &Query) -> Self {
        let (offset, limit) = (query.number("offset", 0), query.number("limit", LIMIT).min(MOST));
        let mut total = 0;
        let wanted = |index: &usize| (offset..offset.saturating_add(limit)).contains(index);
        let items = items.enumerate().inspect(|_| total += 1).filter(|(index, _)| wanted(index));
        let items = items.map(|(_, item)| item).collect();
        Self { total, items }
    }

    /// The same with each entry as `view` shows it.
    pub(in crate::admin) fn map<V>(self, view: impl FnMut(T) -> V) -> Page<V> {
        Page { total: self.total, items: self.items.into_iter().map(view).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_counts_what_it_does_not_show() {
        let page = Page::cut(0..10, &Query::parse("offset=8&limit=5"));
        assert_eq!((page.total, page.items), (10, vec![8, 9]));
    }

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse("url=http%3A%2F%2Fa%2F%3Fb%3D1&header=X-A:+b&header=c%3Ad&empty");
        assert_eq!(query.get("url"), Some("http://a/?b=1"));
        assert_eq!(query.all("header").collect::<Vec<_>>(), ["X-A: b", "c:d"]);
        assert_eq!(query.get("empty"), Some(""));
    }

    #[test]
    fn every_word_is_searched_in_every_text() {
        let texts = ["shop.example.com".to_owned(), "Ingress shop/Web".to_owned()];
        for (asked, found) in
            [("", true), ("web", true), ("EXAMPLE ingress", true), ("example gateway", false), ("  ", true)]
        {
            let query = Query(vec![("q".to_owned(), asked.to_owned())]);
            assert_eq!(query.words("q").are_in(&texts), found, "{asked:?}");
        }
    }
}
