//! The DSSE envelope: an envelope that opens is byte for byte the one that its signer sealed.

use crate::{key, turn_a_bit};
use muster_signing::{MAX_ENVELOPE, Role, inspect, open, payload, seal, signature_of};

const TYPES: [&str; 7] = [
    payload::DESCRIPTOR,
    payload::KEYS,
    payload::MANIFEST,
    payload::LOSS,
    payload::SCORECARD,
    payload::STATEMENT,
    payload::PRUNE,
];

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let payloads: [&[u8]; 3] = [b"", b"{}", &[0xff; 70]];
    let sealed = |kind: &&str| payloads.map(|payload| seal(kind, payload, &key(Role::Writer)));
    TYPES.iter().flat_map(sealed).collect()
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let keys = Role::ALL.map(key);
    let believed = keys.each_ref().map(|key| key.public());
    if let Ok(claimed) = inspect(data) {
        assert_eq!(signature_of(data, MAX_ENVELOPE).unwrap(), claimed.signature);
        if let Ok(opened) = open(data, &claimed.payload_type, &believed) {
            let signer = keys.iter().find(|key| key.public().id() == opened.signer).unwrap();
            assert_eq!(opened.payload, claimed.payload);
            assert_eq!(seal(&claimed.payload_type, &opened.payload, signer), data);
        }
    }
    // The other way round: any payload survives, and no changed bit of its envelope does.
    let kind = TYPES[data.len() % TYPES.len()];
    let sealed = seal(kind, data, &keys[1]);
    if sealed.len() > MAX_ENVELOPE {
        return;
    }
    assert_eq!(open(&sealed, kind, &believed).unwrap().payload, data);
    if let Some(turned) = turn_a_bit(&sealed, data) {
        assert!(open(&turned, kind, &believed).is_err());
    }
}
