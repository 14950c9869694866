//! What the test's own process takes of memory at its worst. Each test is a process of its own under nextest.

use std::fs;

/// The most memory that this process took so far, or since [`forget_peak`], in MiB.
///
/// Source: `VmHWM` in `/proc/self/status`, proc(5).
pub fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells a process about itself");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = peak.map(|peak| peak.trim().trim_end_matches(" kB"));
    number
        .and_then(|number| number.parse::<u64>().ok())
        .expect("VmHWM is a number")
        / 1024
}

/// What was taken before does not count: writing 5 to `clear_refs` sets the peak to what is taken now, proc(5).
pub fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").expect("a process may forget its own peak");
}
