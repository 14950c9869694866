//! The Rego front end: what OPA's compiler does before evaluation, done here in front of an evaluator that does not.
//!
//! A file is parsed in its own version of the language, checked as OPA checks it, rewritten by passes to what regorus
//! evaluates faithfully, and printed with every node on its own line. regorus never sees the text of a policy.

mod ast;
mod fault;
mod lexer;
mod parser;
mod print;
mod walk;

#[cfg(test)]
mod tests;
