//! Tokens signed by a JSON Web Key that is private.
//!
//! No signature has chance in it, so whoever replays a verdict gets the same token: ECDSA takes its nonce from the key and the
//! message (RFC 6979), and so does RSA with PSS its salt (RFC 8017, 9.1.1, with a salt as long as the digest, RFC 7518, 3.5).
//! Both verify like any other. The power of RSA with PSS is not taken in constant time: the key stands in the policy or its
//! input, and nobody outside can measure the call.

use aws_lc_rs::digest::{Algorithm, Context, SHA256, SHA384, SHA512, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaKeyPair};
use num_bigint::BigUint;
use p256::ecdsa::signature::Signer;
use p521::ecdsa::signature::hazmat::RandomizedPrehashSigner;
use p521::elliptic_curve::rand_core::{self, CryptoRng, RngCore, impls};
use regorus::Value;

use super::Failure;
use super::decoded::{URL, base64_bytes};
use super::der;
use super::private::NAMES;

/// Bits of the modulus of a key of RSA: what OPA's verifiers take here too.
const MODULUS_BITS: std::ops::RangeInclusive<u64> = 2048..=8192;

/// The signature of a message by the algorithm.
pub(super) fn sign(key: &Value, algorithm: &str, message: &[u8]) -> Result<Vec<u8>, Failure> {
    match algorithm {
        "EdDSA" => {
            let pair = Ed25519KeyPair::from_seed_and_public_key(&bytes(key, "d")?, &bytes(key, "x")?);
            Ok(pair.map_err(|_| malformed())?.sign(message).as_ref().to_vec())
        }
        "ES256" => on_curve(key, "P-256", 32, |secret| {
            let signature: p256::ecdsa::Signature = p256::ecdsa::SigningKey::from_slice(secret).ok()?.sign(message);
            Some(signature.to_bytes().to_vec())
        }),
        "ES384" => on_curve(key, "P-384", 48, |secret| {
            let signature: p384::ecdsa::Signature = p384::ecdsa::SigningKey::from_slice(secret).ok()?.sign(message);
            Some(signature.to_bytes().to_vec())
        }),
        "ES512" => on_curve(key, "P-521", 66, |secret| {
            let pair = p521::ecdsa::SigningKey::from_slice(secret).ok()?;
            let digest = digest(&SHA512, message);
            let nonces = &mut Nonces::new(secret, digest.as_ref());
            let signature = pair.sign_prehash_with_rng(nonces, digest.as_ref()).ok()?;
            Some(signature.to_bytes().to_vec())
        }),
        "PS256" => probabilistic(key, (&SHA256, hmac::HMAC_SHA256), message),
        "PS384" => probabilistic(key, (&SHA384, hmac::HMAC_SHA384), message),
        "PS512" => probabilistic(key, (&SHA512, hmac::HMAC_SHA512), message),
        "RS256" => fixed(key, &RSA_PKCS1_SHA256, message),
        "RS384" => fixed(key, &RSA_PKCS1_SHA384, message),
        _ => fixed(key, &RSA_PKCS1_SHA512, message),
    }
}

fn malformed() -> Failure {
    Failure::Error("failed to sign: the key is malformed".to_owned())
}

fn bytes(key: &Value, name: &str) -> Result<Vec<u8>, Failure> {
    match &key[name] {
        Value::String(text) => base64_bytes(&URL, text),
        _ => Err(format!("failed to parse a JWK key (set): {name} is missing").into()),
    }
}

fn on_curve(
    key: &Value,
    curve: &str,
    length: usize,
    sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<u8>, Failure> {
    if !matches!(&key["crv"], Value::String(name) if name.as_ref() == curve) {
        return Err(format!("failed to sign: the key is not one of the curve {curve}").into());
    }
    // The number may stand without its zeros in front.
    let secret = bytes(key, "d")?;
    let zeros = secret.iter().take_while(|byte| **byte == 0).count();
    let digits = &secret[zeros..];
    let mut whole = vec![0; length.checked_sub(digits.len()).ok_or_else(malformed)?];
    whole.extend(digits);
    sign(&whole).ok_or_else(malformed)
}

/// The nonces of RFC 6979, 3.2, for P-521 with SHA-512, one after another: its crate draws them and takes the first that is
/// below the order of the curve.
struct Nonces {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Nonces {
    fn new(secret: &[u8], digest: &[u8]) -> Self {
        let mut nonces = Self {
            key: vec![0; 64],
            value: vec![1; 64],
        };
        // The digest has fewer bits than the order: as a number it is itself, below the order.
        let mut number = vec![0; secret.len().saturating_sub(digest.len())];
        number.extend(digest);
        for round in [0, 1] {
            nonces.key = nonces.code(&[&[round], secret, &number]);
            nonces.value = nonces.code(&[]);
        }
        nonces
    }

    fn code(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA512, &self.key));
        context.update(&self.value);
        parts.iter().for_each(|part| context.update(part));
        context.sign().as_ref().to_vec()
    }
}

impl RngCore for Nonces {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        impls::next_u64_via_fill(self)
    }

    /// One candidate: the leftmost 521 bits of what follows, as a number.
    fn fill_bytes(&mut self, out: &mut [u8]) {
        let mut drawn = Vec::new();
        while drawn.len() < out.len() {
            self.value = self.code(&[]);
            drawn.extend(&self.value);
        }
        let mut before = 0;
        for (byte, drawn) in out.iter_mut().zip(drawn) {
            *byte = before << 1 | drawn >> 7;
            before = drawn;
        }
        self.key = self.code(&[&[0]]);
        self.value = self.code(&[]);
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(out);
        Ok(())
    }
}

impl CryptoRng for Nonces {}

fn fixed(
    key: &Value,
    with: &'static dyn aws_lc_rs::signature::RsaEncoding,
    message: &[u8],
) -> Result<Vec<u8>, Failure> {
    let mut parts = vec![der::integer(&[])];
    for name in NAMES {
        parts.push(der::integer(&bytes(key, name)?));
    }
    let pair = RsaKeyPair::from_der(&der::sequence(&parts)).map_err(|_| malformed())?;
    let mut signature = vec![0; pair.public_modulus_len()];
    // The encoding of PKCS #1 draws nothing from the source that the interface wants.
    let signed = pair.sign(with, &SystemRandom::new(), message, &mut signature);
    signed.map_err(|_| Failure::Error("failed to sign".to_owned()))?;
    Ok(signature)
}

fn probabilistic(
    key: &Value,
    (hash, code): (&'static Algorithm, hmac::Algorithm),
    message: &[u8],
) -> Result<Vec<u8>, Failure> {
    let secret = bytes(key, "d")?;
    let [modulus, public, private] =
        ["n", "e", "d"].map(|name| bytes(key, name).map(|raw| BigUint::from_bytes_be(&raw)));
    let (modulus, public, private) = (modulus?, public?, private?);
    if !MODULUS_BITS.contains(&modulus.bits()) || public.bits() > 33 || private >= modulus {
        return Err(malformed());
    }
    let bits = usize::try_from(modulus.bits()).map_err(|_| malformed())? - 1;
    let salt = hmac::sign(&hmac::Key::new(code, &secret), message);
    let encoded = encoded(hash, message, salt.as_ref(), bits).ok_or_else(malformed)?;
    let plain = BigUint::from_bytes_be(&encoded);
    let signature = plain.modpow(&private, &modulus);
    // A private part that is not the public part's would give a signature of nothing.
    if signature.modpow(&public, &modulus) != plain {
        return Err(malformed());
    }
    let digits = signature.to_bytes_be();
    let mut whole = vec![0; (bits + 1).div_ceil(8).saturating_sub(digits.len())];
    whole.extend(digits);
    Ok(whole)
}

/// A message as RFC 8017, 9.1.1 encodes it in so many bits; `None` where it does not fit.
fn encoded(hash: &'static Algorithm, message: &[u8], salt: &[u8], bits: usize) -> Option<Vec<u8>> {
    let length = bits.div_ceil(8);
    let mut context = Context::new(hash);
    context.update(&[0; 8]);
    context.update(digest(hash, message).as_ref());
    context.update(salt);
    let sum = context.finish();
    let mut block = vec![0; length.checked_sub(sum.as_ref().len() + salt.len() + 2)?];
    block.push(1);
    block.extend(salt);
    for (part, counter) in block.chunks_mut(sum.as_ref().len()).zip(0_u32..) {
        let mut mask = Context::new(hash);
        mask.update(sum.as_ref());
        mask.update(&counter.to_be_bytes());
        for (byte, mask) in part.iter_mut().zip(mask.finish().as_ref()) {
            *byte ^= mask;
        }
    }
    if let Some(first) = block.first_mut() {
        *first &= 0xff >> (8 * length - bits);
    }
    block.extend(sum.as_ref());
    block.push(0xbc);
    Some(block)
}

#[cfg(test)]
mod tests;
