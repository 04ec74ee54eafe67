//! A bounded map that forgets what was written longest ago: what the kernel's LRU maps do, near enough.

use std::collections::HashMap;
use std::hash::Hash;

/// Keeps at least the last `limit` keys that were written, and at most twice as many.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    limit: usize,
}

impl<K: Eq + Hash + Copy, V: Copy> Recent<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), limit: limit.max(1) }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.limit && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_keys_are_kept_and_memory_is_bounded() {
        let mut recent = Recent::new(10);
        for key in 0..1000 {
            recent.insert(key, key);
        }
        assert!(recent.len() <= 20);
        assert!((990..1000).all(|key| recent.get(&key) == Some(key)));
        assert_eq!(recent.get(&0), None);
    }
}
