//! Signed evidence: statements, bundles and their offline verification.
