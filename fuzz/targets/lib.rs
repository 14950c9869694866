//! Everything in muster that reads bytes it does not trust, as functions that take one input: what `cargo run -p muster-fuzz` replays
//! and mutates, and what libFuzzer drives.
//!
//! A target asserts more than survival: what decodes encodes again, and what was changed never verifies. Everything here is
//! deterministic but for keys that are wrapped, so that an input which failed once fails again.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "whatever does not hold is a finding"
)]

mod base_backup;
mod builtins;
mod bundle;
mod config;
mod envelope;
mod frame;
mod index;
mod journal;
mod keys;
mod list;
mod log;
mod manifest;
mod note;
mod pack;
mod policy_input;
mod policy_rego;
mod policy_rego_print;
mod postgres_server;
mod postgres_url;
mod repository;
mod run_key;
mod selection;
pub mod sort;
mod tree;
mod trust;
mod waivers;
mod world;

use muster_signing::{Role, SecretKey};

/// One parser, or a few small ones that a first byte tells apart.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of the folder of its inputs.
    pub name: &'static str,
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Takes one input; panics where a promise is broken.
    pub check: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        &[$(Target { name: stringify!($name), seeds: $name::seeds, check: $name::check }),*]
    };
}

/// All of them.
pub const TARGETS: &[Target] = targets![
    base_backup,
    builtins,
    bundle,
    config,
    envelope,
    frame,
    index,
    journal,
    keys,
    list,
    log,
    manifest,
    note,
    pack,
    policy_input,
    policy_rego,
    policy_rego_print,
    postgres_server,
    postgres_url,
    repository,
    run_key,
    selection,
    tree,
    trust,
    waivers,
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The key of a role: the same in every run.
fn key(role: Role) -> SecretKey {
    SecretKey::generate([role as u8 + 1; 32])
}

/// `bytes` with one bit turned, which `choice` selects; `None` where there is none to turn.
fn turn_a_bit(bytes: &[u8], choice: &[u8]) -> Option<Vec<u8>> {
    let choice = choice
        .iter()
        .take(5)
        .fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
    let mut turned = bytes.to_vec();
    *turned.get_mut((choice >> 3).checked_rem(bytes.len())?)? ^= 1 << (choice & 7);
    Some(turned)
}
