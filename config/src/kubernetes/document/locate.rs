//! Field → line. Reads one document again, this time keeping positions and nothing else, so that no text of it (a
//! Secret's, say) lives on, and so that the many documents about which there is nothing to say pay for none of it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use super::split::{Chunk, split};

/// A file, split, in which any number of fields can be looked up.
#[derive(Debug)]
pub struct Locator<'a> {
    chunks: Vec<Chunk<'a>>,
    tree: Option<(u32, Tree)>,
}

impl<'a> Locator<'a> {
    /// Of a whole file.
    pub fn new(file: &'a [u8]) -> Self {
        Self { chunks: split(file), tree: None }
    }

    /// The line of `field` (as in `spec.rules[0].http.paths`) of the object that begins at `object`; where the field
    /// is not there, the line of the part of the path that is. `None` when the document is no longer there.
    pub fn find(&mut self, object: u32, field: &str) -> Option<u32> {
        let at = self.chunks.partition_point(|chunk| chunk.line <= object).checked_sub(1)?;
        let chunk = *self.chunks.get(at)?;
        if self.tree.as_ref().is_none_or(|(line, _)| *line != chunk.line) {
            self.tree = Some((chunk.line, tree(chunk.bytes)?));
        }
        let (_, tree) = self.tree.as_ref()?;
        let offset = object - chunk.line;
        let root = tree.item_at(offset).unwrap_or(tree);
        Some(chunk.line.saturating_add(root.line_of(field).unwrap_or(offset)))
    }
}

/// The first line of each member of `items` of a list document, from 0. Empty if positions cannot be had.
pub(super) fn items(chunk: &[u8]) -> Vec<u32> {
    tree(chunk)
        .and_then(|tree| tree.items().map(|items| items.iter().map(|(line, _)| *line).collect()))
        .unwrap_or_default()
}

fn tree(chunk: &[u8]) -> Option<Tree> {
    let text = str::from_utf8(chunk).ok()?;
    serde_saphyr::from_str_with_options(text, super::text::options()).ok()
}

/// Positions of a document. Lines are from 0.
#[derive(Debug)]
enum Tree {
    Leaf,
    Seq(Vec<(u32, Self)>),
    Map(Vec<(String, u32, Self)>),
}

impl Tree {
    fn items(&self) -> Option<&[(u32, Self)]> {
        let Self::Map(fields) = self else { return None };
        fields.iter().find_map(|(key, _, value)| match value {
            Self::Seq(items) if key == "items" => Some(items.as_slice()),
            _ => None,
        })
    }

    fn item_at(&self, line: u32) -> Option<&Self> {
        self.items()?.iter().find(|(start, _)| *start == line).map(|(_, item)| item)
    }

    /// The deepest line that can be found along `path`; `None` if not even its first part is there.
    fn line_of(&self, path: &str) -> Option<u32> {
        let (line, child, rest) = self.step(path)?;
        Some(if rest.is_empty() { line } else { child.line_of(rest).unwrap_or(line) })
    }

    fn step<'p>(&self, path: &'p str) -> Option<(u32, &Self, &'p str)> {
        match self {
            Self::Leaf => None,
            Self::Seq(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                let (line, item) = items.get(index.parse::<usize>().ok()?)?;
                Some((*line, item, rest))
            }
            // A key may hold dots itself (annotations do), so the longest that fits is meant.
            Self::Map(fields) => {
                let path = path.strip_prefix('.').unwrap_or(path);
                let fitting = |key: &String| {
                    path.strip_prefix(key.as_str()).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                };
                let (key, line, value) =
                    fields.iter().filter(|(key, ..)| fitting(key).is_some()).max_by_key(|(key, ..)| key.len())?;
                Some((*line, value, &path[key.len()..]))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

/// The line of a node, from 0.
fn line<T>(node: &Spanned<T>) -> u32 {
    u32::try_from(node.referenced.line().saturating_sub(1)).unwrap_or(u32::MAX)
}

struct TreeVisitor;

macro_rules! leaves {
    ($($visit:ident($kind:ty);)+) => {
        $(fn $visit<E>(self, _: $kind) -> Result<Tree, E> {
            Ok(Tree::Leaf)
        })+
    };
}

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    leaves! {
        visit_bool(bool);
        visit_i64(i64);
        visit_u64(u64);
        visit_i128(i128);
        visit_u128(u128);
        visit_f64(f64);
        visit_str(&str);
        visit_bytes(&[u8]);
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Tree>>()? {
            found.push((line(&item), item.value));
        }
        Ok(Tree::Seq(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Tree, A::Error> {
        let mut found = Vec::new();
        while let Some((key, Spanned { value, .. })) = fields.next_entry::<Spanned<String>, Spanned<Tree>>()? {
            let line = line(&key);
            found.push((key.value, line, value));
        }
        Ok(Tree::Map(found))
    }
}
