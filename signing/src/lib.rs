//! What is signed and who may sign it: digests, keys, envelopes, notes, trust.
