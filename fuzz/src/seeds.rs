//! Seeds: made, not committed, so that they never go stale when a format changes.
//!
//! A target plants its own when it starts, which is before libFuzzer reads the corpus.

use std::path::Path;

/// Writes the seeds of a target into its corpus folder. A seed that cannot be written is only one seed less.
pub fn plant(target: &str, seeds: &[Vec<u8>]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let made = std::fs::create_dir_all(&folder);
    for (number, seed) in seeds.iter().enumerate().filter(|_| made.is_ok()) {
        let _ = std::fs::write(folder.join(format!("seed-{number:02}")), seed);
    }
}
