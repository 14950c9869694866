//! Real servers, scratch folders and faults for the tests.
