//! The differential check: many small questions in one command, each answered
//! by the crate's own code, so that a test compares answers instead of trust.
//!
//!   {"cmd":"checks","items":[{"op":…},…]}  →  {"ok":true,"answers":[…]}
//!
//!   point        hex          does the crate take it as a public key?
//!   scalar       hex          as a secret key?
//!   public_key   secret       its public key
//!   node_id      public_key   its node id

use crate::AnyError;
use serde_json::{json, Value};
use tari_comms::{
    peer_manager::NodeId,
    types::{CommsPublicKey, CommsSecretKey},
};
use tari_crypto::{
    keys::PublicKey,
    tari_utilities::{
        hex::{from_hex, Hex},
        ByteArray,
    },
};

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

fn answer(item: &Value) -> Result<Value, AnyError> {
    Ok(match item["op"].as_str().unwrap_or_default() {
        "point" => json!(CommsPublicKey::from_bytes(&bytes(item, "hex")?).is_ok()),
        "scalar" => json!(CommsSecretKey::from_bytes(&bytes(item, "hex")?).is_ok()),
        "public_key" => {
            let secret = CommsSecretKey::from_bytes(&bytes(item, "secret")?).map_err(|e| e.to_string())?;
            json!(CommsPublicKey::from_secret_key(&secret).to_hex())
        },
        "node_id" => {
            let key = CommsPublicKey::from_bytes(&bytes(item, "public_key")?).map_err(|e| e.to_string())?;
            json!(NodeId::from_public_key(&key).to_hex())
        },
        other => return Err(format!("unknown op {}", other).into()),
    })
}
