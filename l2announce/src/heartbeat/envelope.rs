//! What stands around every datagram between nodes: whose it is, and the proof that its sender has the cluster key.
//!
//! ```text
//! magic: 4 | version: u8 | tags: u8 | installation: 16 | sealed | a tag of 16 bytes for each valid key
//! ```
//!
//! The tags are of everything before them. Another version is told by its number, which stands at the same place for ever.

use super::{
    content::Installation,
    key::{Keys, MOST_TAGS, TAG},
    number::Reader,
};

/// Longest datagram, in bytes: what every link that carries IPv6 takes in one piece (1280) less IPv6 and UDP headers.
pub const LONGEST: usize = 1232;

/// One kind of datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    pub(crate) magic: [u8; 4],
    pub(crate) version: u8,
}

/// Why what is in an envelope is not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// Of another kind, or none of ours.
    Foreign,
    /// Of another version.
    Version(u8),
    /// Of another installation.
    Installation(Installation),
    /// No tag is of a valid key.
    Key,
}

impl Envelope {
    /// How many bytes at most stand around what is sealed.
    pub(crate) const fn length(tags: usize) -> usize {
        4 + 2 + Installation::LENGTH + tags * TAG
    }

    /// What `write` appends, with the tags of all valid keys.
    pub(crate) fn seal(self, installation: Installation, keys: &Keys, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LONGEST);
        bytes.extend(self.magic);
        bytes.push(self.version);
        bytes.push(u8::try_from(keys.count()).expect("there are two at most"));
        bytes.extend(installation.bytes());
        write(&mut bytes);
        keys.tag(&mut bytes);
        bytes
    }

    /// What is sealed in `bytes`, if their sender has one of `keys` and is of `installation`.
    pub(crate) fn open<'b>(
        self,
        bytes: &'b [u8],
        installation: Installation,
        keys: &Keys,
    ) -> Result<&'b [u8], Unopened> {
        let mut reader = Reader(bytes);
        if reader.array() != Some(self.magic) {
            return Err(Unopened::Foreign);
        }
        let version = reader.byte().ok_or(Unopened::Foreign)?;
        if version != self.version {
            return Err(Unopened::Version(version));
        }
        let tags = reader.byte().map(usize::from).filter(|tags| (1..=MOST_TAGS).contains(tags));
        let tags = tags.ok_or(Unopened::Foreign)? * TAG;
        let sender = reader.array().map(Installation::from_bytes).ok_or(Unopened::Foreign)?;
        if sender != installation {
            return Err(Unopened::Installation(sender));
        }
        let (proved, tags) =
            bytes.len().checked_sub(tags).and_then(|at| bytes.split_at_checked(at)).ok_or(Unopened::Foreign)?;
        if bytes.len() > LONGEST || !keys.verify(proved, tags) {
            return Err(Unopened::Key);
        }
        // Tags that overlap what stands before them were never written by anybody who has the key.
        reader.0.len().checked_sub(tags.len()).and_then(|length| reader.0.get(..length)).ok_or(Unopened::Key)
    }
}
