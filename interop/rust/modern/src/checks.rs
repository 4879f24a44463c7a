//! The differential check: many small questions in one command, each answered
//! by the crate's own code, so that a test compares answers instead of trust.
//!
//!   {"cmd":"checks","items":[{"op":…},…]}  →  {"ok":true,"answers":[…]}
//!
//!   point        hex                   does the crate take it as a public key?
//!   scalar       hex                   as a secret key?
//!   public_key   secret                its public key
//!   node_id      public_key            its node id
//!   claim        public_key, features, addresses (hex), signature (protobuf, hex)   does it verify?
//!   make_claim   secret, features, addresses (hex)          a signature by the crate

use serde_json::{json, Value};
use tari_comms::{
    multiaddr::Multiaddr,
    peer_manager::{IdentitySignature, NodeId, NodeIdentity, PeerFeatures},
    types::{CommsPublicKey, CommsSecretKey, UncompressedCommsPublicKey},
};
use tari_utilities::{
    hex::{from_hex, to_hex, Hex},
    ByteArray,
};

use crate::AnyError;

pub fn run(command: &Value) -> Result<Value, AnyError> {
    let answers: Vec<Value> = command["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| answer(item).unwrap_or_else(|e| json!({"error": e.to_string()})))
        .collect();
    Ok(json!({"ok": true, "answers": answers}))
}

fn bytes(item: &Value, name: &str) -> Result<Vec<u8>, AnyError> {
    Ok(from_hex(item[name].as_str().unwrap_or_default()).map_err(|e| e.to_string())?)
}

fn secret(item: &Value) -> Result<CommsSecretKey, AnyError> {
    Ok(CommsSecretKey::from_canonical_bytes(&bytes(item, "secret")?).map_err(|e| e.to_string())?)
}

fn features(item: &Value) -> Result<PeerFeatures, AnyError> {
    Ok(PeerFeatures::from_bits(item["features"].as_u64().unwrap_or_default() as u32).ok_or("unknown features")?)
}

fn addresses(item: &Value) -> Result<Vec<Multiaddr>, AnyError> {
    item["addresses"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|a| Ok(Multiaddr::try_from(from_hex(a.as_str().unwrap_or_default()).map_err(|e| e.to_string())?)?))
        .collect()
}

fn answer(item: &Value) -> Result<Value, AnyError> {
    Ok(match item["op"].as_str().unwrap_or_default() {
        "point" => json!(UncompressedCommsPublicKey::from_canonical_bytes(&bytes(item, "hex")?).is_ok()),
        "scalar" => json!(CommsSecretKey::from_canonical_bytes(&bytes(item, "hex")?).is_ok()),
        "public_key" => json!(CommsPublicKey::from_secret_key(&secret(item)?).to_hex()),
        "node_id" => {
            let key = CommsPublicKey::from_canonical_bytes(&bytes(item, "public_key")?).map_err(|e| e.to_string())?;
            json!(NodeId::from_key(&key).to_hex())
        },
        "claim" => json!(verify(item).is_ok()),
        "make_claim" => {
            let identity = NodeIdentity::new(secret(item)?, addresses(item)?, features(item)?);
            let signature = identity.identity_signature_read().as_ref().map(|s| to_hex(&s.to_bytes()));
            json!({"public_key": identity.public_key().to_hex(), "signature": signature})
        },
        other => return Err(format!("unknown op {other}").into()),
    })
}

fn verify(item: &Value) -> Result<(), AnyError> {
    let key = CommsPublicKey::from_canonical_bytes(&bytes(item, "public_key")?).map_err(|e| e.to_string())?;
    let signature = IdentitySignature::from_bytes(&bytes(item, "signature")?)?;
    Ok(signature.verify(&key, features(item)?, &addresses(item)?)?)
}
