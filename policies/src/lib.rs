//! Rego policies over configuration: parse, evaluate, judge.
