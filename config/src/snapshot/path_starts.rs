//! First characters of paths → rules, by how many lengths are filed and never by number of rules.

use super::{path_table::Cell, small_map::SmallMap};
use std::sync::Arc;

/// Rules filed by the characters that a path begins with; the empty text is for every path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PathStarts {
    cells: SmallMap<Cell>,
    /// How many texts of each length in bytes are filed, in order.
    lengths: Vec<(usize, usize)>,
}

impl PathStarts {
    /// The cells whose text `path` begins with, the longest first.
    pub(super) fn of<'s>(&'s self, path: &str) -> impl Iterator<Item = &'s Cell> {
        self.lengths.iter().rev().filter_map(move |(length, _)| self.cells.get(path.get(..*length)?))
    }

    /// The rules of one text, best first.
    pub(super) fn get(&self, text: &str) -> Option<&Cell> {
        self.cells.get(text)
    }

    /// Replaces the rules of one text; none removes it.
    pub(super) fn set(&mut self, text: &Arc<str>, rules: Cell) {
        let (before, after) = (self.cells.get(text).is_some(), !rules.is_empty());
        if after {
            self.cells.insert(text, rules);
        } else {
            self.cells.remove(text);
        }
        match self.lengths.binary_search_by_key(&text.len(), |(length, _)| *length) {
            Ok(at) => {
                if let Some((_, count)) = self.lengths.get_mut(at) {
                    *count = *count + usize::from(after) - usize::from(before);
                }
                self.lengths.retain(|(_, count)| *count > 0);
            }
            Err(at) if after => self.lengths.insert(at, (text.len(), 1)),
            Err(_) => {}
        }
    }

    /// Whether nothing is filed.
    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// All cells, in no particular order.
    pub(super) fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.cells.values()
    }
}
