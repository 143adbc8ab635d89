//! The best rows of many, without an allocator.

/// Keeps the `N` rows with the highest keys, best first; of equal keys the one offered first.
///
/// A key is anything that is ordered: an integer, or a tuple of what is compared first, second and so on. `Reverse` turns
/// the order of a part around.
///
/// ```
/// use core::cmp::Reverse;
/// let mut best = wasmesh_policy::Top::<_, 2>::new();
/// for (row, (free, queue)) in [(10, 0), (30, 5), (30, 1)].iter().enumerate() {
///     best.offer(row, (*free, Reverse(*queue)));
/// }
/// let rows: Vec<usize> = best.iter().map(|&(row, _)| row).collect();
/// assert_eq!(rows, [2, 1]);
/// ```
pub struct Top<K, const N: usize> {
    best: [Option<(usize, K)>; N],
    len: usize,
}

impl<K: Ord + Copy, const N: usize> Top<K, N> {
    /// An empty one.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Top { best: [None; N], len: 0 }
    }

    /// Takes the row in if it is among the best so far.
    pub fn offer(&mut self, row: usize, key: K) {
        let mut at = self.len;
        while at > 0 && matches!(self.best.get(at - 1), Some(Some((_, k))) if *k < key) {
            at -= 1;
        }
        if at >= N {
            return;
        }
        self.len = N.min(self.len + 1);
        if let Some(tail) = self.best.get_mut(at..self.len) {
            tail.rotate_right(1);
            tail[0] = Some((row, key));
        }
    }

    /// The rows with their keys, best first.
    pub fn iter(&self) -> impl Iterator<Item = &(usize, K)> {
        self.best.iter().flatten()
    }
}
