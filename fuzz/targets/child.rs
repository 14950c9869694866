//! One target in a process of its own: its inputs as they are, then changed until the time is up.
//!
//! Invariant: each input is on disk before it is taken, so that whatever ends this process (a panic, an overflow of the stack, memory
//! that there is not, a signal of its parent) leaves the input behind. The stack is that of any thread; there is half a GiB of
//! memory beyond what the inputs take, and the address space of one deep stack. So a bomb among the inputs is a finding.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use muster_fuzz::Target;
use rustix::process::{Resource, Rlimit};

use crate::mutate::Mutator;

/// Bytes before an input in the file: how many came before, and its length.
pub(crate) const HEADER: usize = 16;
/// Longer inputs, and those that take longer, are taken as they are and never changed.
const LONG: usize = 32 << 10;
const SLOW: Duration = Duration::from_millis(100);
/// The stack that policies are judged on, and what one input may need beyond it.
const MEMORY: u64 = (512 << 20) + (512 << 20);

/// Takes all inputs in `inputs`, then changed ones for so long. Gives the number of executions.
pub(crate) fn run(
    target: &Target,
    inputs: &[Vec<u8>],
    time: Duration,
    seed: u64,
    current: &Path,
) -> Result<u64, String> {
    let file = File::create(current).map_err(|error| format!("make {}: {error}", current.display()))?;
    let mut done = 0u64;
    let mut take = |input: &[u8]| -> Result<(), String> {
        let length = input.len() as u64;
        let written = [&done.to_le_bytes()[..], &length.to_le_bytes(), input].concat();
        file.write_all_at(&written, 0)
            .map_err(|error| format!("note an input: {error}"))?;
        (target.check)(input);
        done += 1;
        Ok(())
    };
    limit_memory()?;
    let mut quick = Vec::new();
    for input in inputs {
        let begin = Instant::now();
        take(input)?;
        if input.len() <= LONG && begin.elapsed() <= SLOW {
            quick.push(input.clone());
        }
    }
    let mut mutator = Mutator::new(seed);
    let begin = Instant::now();
    while begin.elapsed() < time {
        take(&mutator.change(&quick))?;
    }
    Ok(done)
}

fn limit_memory() -> Result<(), String> {
    let status =
        std::fs::read_to_string("/proc/self/status").map_err(|error| format!("read /proc/self/status: {error}"))?;
    let kib = status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmSize:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        })
        .ok_or("no VmSize in /proc/self/status")?;
    let most = Some((kib << 10) + MEMORY);
    let limits = Rlimit {
        current: most,
        maximum: most,
    };
    rustix::process::setrlimit(Resource::As, limits).map_err(|error| format!("limit the memory: {error}"))
}
