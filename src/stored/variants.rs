//! The marker under a primary key: which request fields select among the variants of one URI (RFC 9111 section 4.1).
use crate::{CacheKey, semantics::selecting};
use http::{HeaderMap, HeaderName};
use std::sync::atomic::{AtomicU64, Ordering};

/// More sets of nominated fields than this are not kept for one URI: the oldest goes.
const MAX_SHAPES: usize = 4;

/// One set of nominated fields, sorted.
pub(crate) type Shape = Vec<HeaderName>;

/// The key of a variant, and the one under which requests that like its language best find it.
pub(crate) type VariantKeys = (CacheKey, Option<CacheKey>);

/// Which variants of one URI are stored. A new generation makes all variants of the old one unreachable.
#[derive(Debug, Default)]
pub(crate) struct VariantIndex {
    pub(crate) generation: u64,
    /// The sets of nominated fields that responses came with, the newest first.
    pub(crate) shapes: Vec<Shape>,
    variants: Vec<Variant>,
}

#[derive(Debug)]
struct Variant {
    key: CacheKey,
    /// Under which requests that like its language best find it.
    by_language: Option<CacheKey>,
    /// Grows with each use of any variant; kept in memory only.
    used: AtomicU64,
}

impl VariantIndex {
    pub(crate) fn new(generation: u64) -> Self {
        Self { generation, ..Self::default() }
    }

    pub(crate) fn with(generation: u64, shapes: Vec<Shape>, keys: Vec<VariantKeys>) -> Self {
        let variants = keys
            .into_iter()
            .map(|(key, by_language)| Variant { key, by_language, used: AtomicU64::new(0) })
            .collect();
        Self { generation, shapes, variants }
    }

    /// The variant in the language that this request likes best.
    pub(crate) fn in_language(&self, primary: &CacheKey, request: &HeaderMap) -> Option<CacheKey> {
        let language = selecting::preferred_language(request)?;
        self.shapes.iter().find_map(|shape| {
            let wanted = primary.language_variant(self.generation, shape, request, &language)?;
            let is_wanted = |variant: &&Variant| variant.by_language.as_ref() == Some(&wanted);
            self.variants.iter().find(is_wanted).map(|variant| variant.key.clone())
        })
    }

    /// The keys of all variants, and those by their languages.
    pub(crate) fn all_keys(&self) -> impl Iterator<Item = (&CacheKey, Option<&CacheKey>)> {
        self.variants.iter().map(|variant| (&variant.key, variant.by_language.as_ref()))
    }

    /// The keys under which a response may lie that this request selects.
    pub(crate) fn candidates(
        &self,
        primary: &CacheKey,
        request: &HeaderMap,
    ) -> impl Iterator<Item = CacheKey> {
        self.shapes.iter().map(|names| primary.variant(self.generation, names, request))
    }

    /// The keys of all variants.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &CacheKey> {
        self.variants.iter().map(|variant| &variant.key)
    }

    /// Notes that a variant answered a request.
    pub(crate) fn touch(&self, key: &CacheKey) {
        // With one variant there is nothing to choose from when one has to go.
        if self.variants.len() > 1
            && let Some(variant) = self.variants.iter().find(|variant| variant.key == *key)
        {
            variant.used.store(self.newest().saturating_add(1), Ordering::Relaxed);
        }
    }

    /// The index with one more variant, and the keys of those that have to go.
    pub(crate) fn added(
        &self,
        shape: &Shape,
        (key, by_language): VariantKeys,
        limit: usize,
    ) -> (Self, Vec<CacheKey>) {
        let used = self.newest().saturating_add(1);
        let mut shapes = self.shapes.clone();
        shapes.retain(|known| known != shape);
        shapes.insert(0, shape.clone());
        shapes.truncate(MAX_SHAPES);
        let mut variants: Vec<Variant> = self
            .variants
            .iter()
            .filter(|variant| variant.key != key)
            .map(|v| Variant {
                key: v.key.clone(),
                by_language: v.by_language.clone(),
                used: AtomicU64::new(v.used.load(Ordering::Relaxed)),
            })
            .collect();
        variants.push(Variant { key, by_language, used: AtomicU64::new(used) });
        variants.sort_by_key(|variant| std::cmp::Reverse(variant.used.load(Ordering::Relaxed)));
        let gone = variants.split_off(limit.min(variants.len()));
        let index = Self { generation: self.generation, shapes, variants };
        (index, gone.into_iter().map(|variant| variant.key).collect())
    }

    fn newest(&self) -> u64 {
        self.variants.iter().map(|v| v.used.load(Ordering::Relaxed)).max().unwrap_or_default()
    }

    /// Bytes in memory, roughly.
    pub(crate) fn weight(&self) -> usize {
        let shapes =
            self.shapes.iter().map(|shape| shape.len().saturating_mul(32).saturating_add(32));
        let keys = self.all_keys().map(|(key, by_language)| {
            let by_language = by_language.map_or(size_of::<CacheKey>(), CacheKey::weight);
            key.weight().saturating_add(by_language)
        });
        shapes.chain(keys).fold(size_of::<Self>(), usize::saturating_add)
    }
}

impl PartialEq for VariantIndex {
    fn eq(&self, other: &Self) -> bool {
        self.generation == other.generation
            && self.shapes == other.shapes
            && self.all_keys().eq(other.all_keys())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> CacheKey {
        CacheKey::from_bytes(vec![n])
    }

    fn shape(name: &'static str) -> Shape {
        vec![HeaderName::from_static(name)]
    }

    #[test]
    fn the_least_recently_used_variant_goes_first() {
        let mut index = VariantIndex::new(1);
        for n in 0..3 {
            index = index.added(&shape("a"), (key(n), None), 3).0;
        }
        index.touch(&key(0));
        let (index, gone) = index.added(&shape("a"), (key(3), None), 3);
        assert_eq!(gone, [key(1)]);
        let (_, gone) = index.added(&shape("a"), (key(2), None), 3);
        assert!(gone.is_empty(), "replacing one is no growth");
    }

    #[test]
    fn the_newest_set_of_nominated_fields_is_asked_first() {
        let mut index = VariantIndex::new(1);
        for name in ["a", "b", "c", "d", "e", "b"] {
            index = index.added(&shape(name), (key(0), None), 16).0;
        }
        assert_eq!(index.shapes, [shape("b"), shape("e"), shape("d"), shape("c")]);
    }
}
