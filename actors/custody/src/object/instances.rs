//! The instances of an attribute that may have several, each under the index that it keeps.
//!
//! KMIP 1.4 §2.1.1: "The Attribute Index of an attribute SHALL NOT change when other instances are added or deleted." A deleted
//! instance therefore leaves a gap, which the next one added fills: a list stays as short as its instances ever were many.

use serde::{Deserialize, Serialize};

/// Values by index. Stored as a list in which `null` is a gap; a list without gaps reads as it did before there were any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instances<T>(Vec<Option<T>>);

impl<T> Default for Instances<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Instances<T> {
    /// How many instances there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// The instance of this index.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.0.get(index)?.as_ref()
    }

    /// The instance of the lowest index.
    pub fn first(&self) -> Option<&T> {
        self.iter().next()
    }

    /// The instances by ascending index.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    /// Each instance with its index, ascending.
    pub fn indexed(&self) -> impl Iterator<Item = (usize, &T)> {
        self.0.iter().enumerate().filter_map(|(index, value)| Some((index, value.as_ref()?)))
    }

    /// Adds an instance under the lowest free index, and answers that.
    pub fn push(&mut self, value: T) -> usize {
        match self.0.iter_mut().enumerate().find(|(_, place)| place.is_none()) {
            Some((index, place)) => {
                *place = Some(value);
                index
            }
            None => {
                self.0.push(Some(value));
                self.0.len() - 1
            }
        }
    }

    /// Puts a value under an index of the caller's choice, and answers the old one. The list grows up to there: the caller bounds it.
    pub fn put(&mut self, index: usize, value: T) -> Option<T> {
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        self.0.get_mut(index)?.replace(value)
    }

    /// Puts another value under an index that has one, and answers the old one. `None` where there is none.
    pub fn replace(&mut self, index: usize, value: T) -> Option<T> {
        self.0.get_mut(index)?.as_mut().map(|old| std::mem::replace(old, value))
    }

    /// Takes an instance away; the others keep their index.
    pub fn remove(&mut self, index: usize) -> Option<T> {
        let removed = self.0.get_mut(index)?.take();
        let used = self.0.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.0.truncate(used);
        removed
    }
}

impl<T: PartialEq> Instances<T> {
    pub fn contains(&self, value: &T) -> bool {
        self.iter().any(|one| one == value)
    }
}

impl<T> From<Vec<T>> for Instances<T> {
    fn from(values: Vec<T>) -> Self {
        Self(values.into_iter().map(Some).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn indexed(list: &Instances<u8>) -> Vec<(usize, u8)> {
        list.indexed().map(|(index, value)| (index, *value)).collect()
    }

    #[test]
    fn an_index_stays_when_others_go() {
        let mut list = Instances::from(vec![1, 2, 3]);
        assert_eq!(list.remove(1), Some(2));
        assert_eq!(indexed(&list), [(0, 1), (2, 3)]);
        assert_eq!((list.get(1), list.get(2), list.len()), (None, Some(&3), 2));
        assert_eq!((list.remove(1), list.replace(1, 9), list.remove(7)), (None, None, None));
        assert_eq!(list.push(4), 1, "the gap is filled");
        assert_eq!(list.push(5), 3);
        assert_eq!(list.replace(3, 6), Some(5));
        assert_eq!((list.put(5, 7), list.put(5, 8)), (None, Some(7)));
        assert_eq!((list.push(9), list.remove(5), list.remove(4)), (4, Some(8), Some(9)));
        assert_eq!(indexed(&list), [(0, 1), (1, 4), (2, 3), (3, 6)]);
    }

    #[test]
    fn what_was_stored_before_there_were_gaps_reads_the_same() {
        let list: Instances<u8> = serde_json::from_str("[1,2]").unwrap();
        assert_eq!(list, Instances::from(vec![1, 2]));
        assert_eq!(serde_json::to_string(&list).unwrap(), "[1,2]");
        let mut gap = list;
        gap.remove(0);
        assert_eq!(serde_json::to_string(&gap).unwrap(), "[null,2]");
        assert_eq!(serde_json::from_str::<Instances<u8>>("[null,2]").unwrap(), gap);
    }

    proptest! {
        #[test]
        fn to_add_and_to_remove_changes_nothing(values in vec(any::<u8>(), 0..6), gone in vec(0usize..6, 0..6), value: u8) {
            let mut list = Instances::from(values);
            for index in gone {
                list.remove(index);
            }
            let before = list.clone();
            let index = list.push(value);
            prop_assert_eq!(list.get(index), Some(&value));
            for (index, value) in before.indexed() {
                prop_assert_eq!(list.get(index), Some(value));
            }
            list.remove(index);
            prop_assert_eq!(list, before);
        }
    }
}
