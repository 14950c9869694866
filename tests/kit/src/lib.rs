//! Real servers, scratch folders and faults for the tests.

#![expect(clippy::expect_used, reason = "a test kit that cannot do its work ends the test")]

pub mod ceph;
#[cfg(feature = "faults")]
pub mod contract;
pub mod damage;
pub mod env;
#[cfg(feature = "faults")]
pub mod faulty;
pub mod memory;
pub mod postgres;
pub mod proxy;
#[cfg(feature = "faults")]
pub mod recording;
#[cfg(feature = "faults")]
pub mod sim;
pub mod trees;
pub mod wire;
