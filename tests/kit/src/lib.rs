//! Real servers, scratch folders and faults for the tests.

#![expect(clippy::expect_used, reason = "a test kit that cannot do its work ends the test")]

pub mod damage;
pub mod env;
pub mod postgres;
pub mod trees;
pub mod ceph;
#[cfg(feature = "faults")]
pub mod contract;
#[cfg(feature = "faults")]
pub mod faulty;
#[cfg(feature = "faults")]
pub mod recording;
pub mod wire;
