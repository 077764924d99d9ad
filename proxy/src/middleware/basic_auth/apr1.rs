//! Apache's variant of MD5-crypt (`$apr1$`), as `htpasswd -m` writes it.

use md5::{Digest as _, Md5};

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The 22 characters after the salt.
pub(super) fn apr1(password: &[u8], salt: &[u8]) -> String {
    let mut digest = first_round(password, salt);
    for round in 0..1000 {
        let mut md5 = Md5::new();
        md5.update(if round % 2 == 1 { password } else { &digest[..] });
        if round % 3 != 0 {
            md5.update(salt);
        }
        if round % 7 != 0 {
            md5.update(password);
        }
        md5.update(if round % 2 == 1 { &digest[..] } else { password });
        digest = md5.finalize().into();
    }
    encode(&digest)
}

fn first_round(password: &[u8], salt: &[u8]) -> [u8; 16] {
    let mut inner = Md5::new();
    inner.update(password);
    inner.update(salt);
    inner.update(password);
    let inner: [u8; 16] = inner.finalize().into();

    let mut outer = Md5::new();
    outer.update(password);
    outer.update(b"$apr1$");
    outer.update(salt);
    for chunk in password.chunks(16) {
        outer.update(inner.get(..chunk.len()).unwrap_or_default());
    }
    let mut bits = password.len();
    while bits > 0 {
        let byte = if bits & 1 == 1 { 0 } else { password.first().copied().unwrap_or_default() };
        outer.update([byte]);
        bits >>= 1;
    }
    outer.finalize().into()
}

fn encode(digest: &[u8; 16]) -> String {
    let d = |at: usize| u32::from(digest.get(at).copied().unwrap_or_default());
    let groups = [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)];
    let mut out = String::with_capacity(22);
    for (a, b, c) in groups {
        push(&mut out, (d(a) << 16) | (d(b) << 8) | d(c), 4);
    }
    push(&mut out, d(11), 2);
    out
}

/// Six bits a character, the lowest first.
fn push(out: &mut String, mut value: u32, count: usize) {
    for _ in 0..count {
        out.push(char::from(ALPHABET.get((value & 0x3f) as usize).copied().unwrap_or(b'.')));
        value >>= 6;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the Apache documentation ("Password Formats") and `openssl passwd -apr1`.
    #[test]
    fn published_vectors() {
        for (password, salt, want) in
            [("myPassword", "r31.....", "HqJZimcKQFAMYayBlzkrA/"), ("myPassword", "qHDFfhPC", "nITSVHgYbDAK1Y0acGRnY0")]
        {
            assert_eq!(apr1(password.as_bytes(), salt.as_bytes()), want, "{password} {salt}");
        }
    }
}
