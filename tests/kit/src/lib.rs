//! Real servers, scratch folders and faults for the tests.

#![expect(clippy::expect_used, reason = "a test kit that cannot do its work ends the test")]

pub mod damage;
pub mod env;
pub mod trees;
pub mod postgres;
