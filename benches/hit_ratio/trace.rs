//! Who asks for what: deterministic, and the same for all.

pub(crate) const SEED: u64 = 9_111;

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Bytes of each item: from 2 to 128 KiB, small ones more often.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
pub(crate) fn sizes(items: usize) -> Vec<u64> {
    let mut random = Random(SEED + 1);
    (0..items).map(|_| (2048.0 * 64_f64.powf(random.fraction())) as u64).collect()
}

/// Items by rank, the nth being asked for with a weight of n^-0.9.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]
pub(crate) fn zipf(items: usize, requests: usize) -> Vec<u32> {
    let mut random = Random(SEED);
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=items)
        .map(|rank| {
            sum += (rank as f64).powf(-0.9);
            sum
        })
        .collect();
    (0..requests)
        .map(|_| {
            let at = random.fraction() * sum;
            sums.partition_point(|below| *below < at).min(items - 1) as u32
        })
        .collect()
}

/// The same, and now and then somebody reads 10,000 items in a row that nobody asks for again: a third of all requests.
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
pub(crate) fn scanned(items: usize, requests: usize) -> Vec<u32> {
    const SCAN: usize = 10_000;
    let mut next = items as u32;
    let mut trace = Vec::with_capacity(requests);
    for part in zipf(items, requests * 2 / 3).chunks(2 * SCAN) {
        trace.extend_from_slice(part);
        trace.extend(next..next + SCAN as u32);
        next += SCAN as u32;
    }
    trace
}
