//! The target that MUSTER_FUZZ names, driven by libFuzzer. Its own inputs are written into its corpus first.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use muster_fuzz::{Target, target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("MUSTER_FUZZ").expect("MUSTER_FUZZ names a target");
    target(&name).expect("MUSTER_FUZZ names a target: cargo run -p muster-fuzz -- list")
});

/// libFuzzer reads the corpus after this. A seed that cannot be written is only one seed less.
fn plant() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(TARGET.name);
    let made = std::fs::create_dir_all(&folder);
    for (number, seed) in (TARGET.seeds)().iter().enumerate().filter(|_| made.is_ok()) {
        let _ = std::fs::write(folder.join(format!("seed-{number:03}")), seed);
    }
    if TARGET.name.starts_with("policy") || TARGET.name == "builtins" || TARGET.name == "config" {
        // What panics on a thread of the evaluator is contained, and is no end of this process.
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() != Some("policy") {
                told(info);
            }
        }));
    }
}

fuzz_target!(init: plant(), |data: &[u8]| (TARGET.check)(data));
