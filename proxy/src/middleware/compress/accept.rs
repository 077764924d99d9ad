//! Accept-Encoding (RFC 9110 section 12.5.3).

use http::{HeaderValue, header::GetAll};
use postern_config::model::middleware::compress::Encoding;

/// The coding that the client weighs highest; among equals the first of `offered`. `None`: as it is.
pub(super) fn choose(values: &GetAll<'_, HeaderValue>, offered: &[Encoding]) -> Option<Encoding> {
    let weigh = |name: &str| weight(values, name);
    let any = weigh("*").unwrap_or(0);
    let mut best: Option<(Encoding, u16)> = None;
    for encoding in offered {
        let weight = weigh(encoding.as_str()).unwrap_or(any);
        if weight > best.map_or(0, |(_, best)| best) {
            best = Some((*encoding, weight));
        }
    }
    let (encoding, weight) = best?;
    (weigh("identity").unwrap_or(0) <= weight).then_some(encoding)
}

/// The weight of `name` in thousandths, where it is listed.
fn weight(values: &GetAll<'_, HeaderValue>, name: &str) -> Option<u16> {
    let texts = values.iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).find_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case(name) {
            return None;
        }
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some(quality.map_or(1000, thousandths))
    })
}

/// `0.5` as 500; what is malformed is 0.
fn thousandths(quality: &str) -> u16 {
    match quality.parse::<f32>() {
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1000.0).round() as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header::ACCEPT_ENCODING};

    use super::*;

    #[test]
    fn the_client_decides_and_we_break_ties() {
        use Encoding::{Brotli, Gzip, Zstd};
        for (value, want) in [
            ("gzip, br, zstd", Some(Gzip)),
            ("br;q=1.0, gzip;q=0.8", Some(Brotli)),
            ("gzip;q=0, br", Some(Brotli)),
            ("*", Some(Gzip)),
            ("*;q=0.1, zstd;q=0.2", Some(Zstd)),
            ("gzip;q=0.5, identity", None),
            ("gzip;q=0.5, identity;q=0.1", Some(Gzip)),
            ("gzip;q=0, *;q=0", None),
            ("deflate", None),
            ("", None),
            ("GZIP; Q=0.3", Some(Gzip)),
            ("gzip;q=2", None),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(choose(&headers.get_all(ACCEPT_ENCODING), &Encoding::ALL), want, "{value:?}");
        }
    }
}
