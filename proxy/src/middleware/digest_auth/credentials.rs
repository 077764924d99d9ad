//! `Authorization: Digest …` as a client wrote it (RFC 7616 section 3.4).

/// What a client says. Nothing of it is judged but its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Who it says it is.
    pub name: String,
    /// What it thinks it is asked for.
    pub realm: String,
    /// From the challenge.
    pub nonce: String,
    /// What it asked for.
    pub uri: String,
    /// The proof, in hexadecimal.
    pub response: String,
    /// `None`: MD5.
    pub algorithm: Option<String>,
    /// The client's own nonce.
    pub client_nonce: String,
    /// How often it has used the nonce.
    pub count: u32,
    /// The same as it was written: eight digits.
    pub count_text: String,
}

/// More than all that have a meaning.
const MOST: usize = 32;

impl Credentials {
    /// Reads a field value; `None` where something is missing, doubled, or not `qop=auth`.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (scheme, rest) = std::str::from_utf8(value).ok()?.trim().split_once([' ', '\t'])?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let mut found = parameters(rest)?;
        let count_text = take(&mut found, "nc")?;
        let count = Some(&count_text).filter(|text| text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit()));
        let credentials = Self {
            name: take(&mut found, "username")?,
            realm: take(&mut found, "realm")?,
            nonce: take(&mut found, "nonce")?,
            uri: take(&mut found, "uri")?,
            response: take(&mut found, "response")?,
            algorithm: take(&mut found, "algorithm"),
            client_nonce: take(&mut found, "cnonce")?,
            count: u32::from_str_radix(count?, 16).ok()?,
            count_text,
        };
        // A name that is hashed is none that is known here.
        let is_plain = take(&mut found, "userhash").is_none_or(|said| said.eq_ignore_ascii_case("false"));
        (is_plain && take(&mut found, "qop")?.eq_ignore_ascii_case("auth")).then_some(credentials)
    }
}

fn take(found: &mut Vec<(String, String)>, name: &str) -> Option<String> {
    let at = found.iter().position(|(held, _)| held == name)?;
    Some(found.swap_remove(at).1)
}

/// `name=value, name="value"`, names in lower case and each once.
fn parameters(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut found: Vec<(String, String)> = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Some(found);
        }
        let (name, rest) = text.split_once('=')?;
        let name = name.trim_end_matches([' ', '\t']).to_ascii_lowercase();
        let rest = rest.trim_start_matches([' ', '\t']);
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => token(rest),
        };
        let doubled = found.iter().any(|(held, _)| *held == name);
        if name.is_empty() || !name.bytes().all(is_token) || doubled || found.len() == MOST {
            return None;
        }
        found.push((name, value));
        text = rest.trim_start_matches([' ', '\t']);
        if !text.is_empty() && !text.starts_with(',') {
            return None;
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn token(text: &str) -> (String, &str) {
    let end = text.bytes().position(|byte| !is_token(byte)).unwrap_or(text.len());
    let (value, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (value.to_owned(), rest)
}

/// What stands before the closing quotation mark, and what behind it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Digest username=\"Mufasa\", realm=\"a \\\"b\\\"\", nonce=\"n\", uri=\"/x?y=1,2\", \
                        qop=auth, nc=0000000a, cnonce=\"c\", response=\"r\"";

    #[test]
    fn credentials_are_read() {
        let read = Credentials::parse(GOOD.as_bytes()).expect("good credentials");
        assert_eq!((&*read.name, &*read.realm, &*read.uri), ("Mufasa", "a \"b\"", "/x?y=1,2"));
        assert_eq!((read.count, &*read.count_text, read.algorithm), (10, "0000000a", None));
    }

    #[test]
    fn spelling_varies() {
        for text in [
            GOOD.replace("Digest", "dIGEST"),
            GOOD.replace("qop=auth", "qop=\"auth\""),
            GOOD.replace(", ", ",\t , "),
            GOOD.replace("nc=", "NC = "),
            GOOD.replace("qop=auth", "qop=auth, opaque=\"\", extra=1"),
            format!("{GOOD},"),
        ] {
            assert!(Credentials::parse(text.as_bytes()).is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_incomplete_or_ambiguous_is_refused() {
        for text in [
            String::new(),
            "Digest".to_owned(),
            "Basic dXNlcjpwYXNz".to_owned(),
            GOOD.replace("Digest ", "Digestx "),
            GOOD.replace("username=\"Mufasa\", ", ""),
            GOOD.replace("nonce=\"n\", ", ""),
            GOOD.replace("cnonce=\"c\", ", ""),
            GOOD.replace("qop=auth, ", ""),
            GOOD.replace("qop=auth", "qop=auth-int"),
            GOOD.replace("0000000a", "a"),
            GOOD.replace("0000000a", "+000000a"),
            GOOD.replace("0000000a", "0000000g"),
            GOOD.replace("qop=auth", "qop=auth, username=\"other\""),
            GOOD.replace("qop=auth", "qop=auth, userhash=true"),
            GOOD.replace("qop=auth", "qop=auth x"),
            GOOD.replace("response=\"r\"", "response=\"r"),
            GOOD.replace("response=\"r\"", "response=\"r\\"),
            format!("{GOOD}, {}", (0..40).map(|n| format!("x{n}=1")).collect::<Vec<_>>().join(",")),
        ] {
            assert_eq!(Credentials::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Credentials::parse(b"Digest username=\"\xff\""), None);
    }
}
