//! The service t/dht/1 of tari_comms_dht itself, and its client, on this peer's
//! book. Nothing else of the DHT runs: it dials nobody and sends nothing.
//!
//! --dht true serves it.
//!
//!   {"cmd":"get_peers", "node_id":…, "n":…, "clients":…}   asks a peer; each record
//!                          is held against the crate's rules: public_key, and
//!                          addresses or error. Test addresses are allowed, but
//!                          not with "public":true

use futures::StreamExt;
use serde_json::{json, Value};
use tari_comms::{CommsNode, RefKind, UnspawnedCommsNode};
use tari_comms_dht::{Dht, DhtClient, DhtConfig, GetPeersRequest, PeerInfo, PeerValidator, UnvalidatedPeerInfo};
use tari_utilities::hex::to_hex;
use tokio::sync::mpsc;

use crate::{node_id, number, AnyError};

pub async fn build(node: &UnspawnedCommsNode) -> Result<Dht, AnyError> {
    let (outbound, mut unsent) = mpsc::unbounded_channel();
    tokio::spawn(async move { while unsent.recv().await.is_some() {} });
    let config = DhtConfig {
        num_neighbouring_nodes: 0,
        num_random_nodes: 0,
        ..DhtConfig::default_local_test()
    };
    Ok(Dht::builder()
        .with_config(config)
        .with_outbound_sender(outbound)
        .build(node.node_identity(), node.peer_manager(), node.connectivity(), node.shutdown_signal())
        .await?)
}

pub async fn get_peers(node: &CommsNode, command: &Value) -> Result<Value, AnyError> {
    let config = match command["public"].as_bool() {
        Some(true) => DhtConfig::default_mainnet(),
        _ => DhtConfig::default_local_test(),
    };
    let mut conn = node.connectivity().dial_peer(node_id(command)?, RefKind::Weak).await?;
    let mut client = conn.connect_rpc::<DhtClient>().await?;
    let request = GetPeersRequest {
        n: number(command, "n") as u32,
        include_clients: command["clients"].as_bool().unwrap_or_default(),
        max_claims: 5,
        max_addresses_per_claim: 5,
    };
    let mut answers = Vec::new();
    let mut items = client.get_peers(request).await?;
    while let Some(item) = items.next().await {
        answers.push(judge(&config, item?.peer.ok_or("an item without a peer")?));
    }
    client.close().await;
    Ok(json!({"ok": true, "answers": answers}))
}

fn judge(config: &DhtConfig, info: PeerInfo) -> Value {
    let key = to_hex(&info.public_key);
    let peer = match UnvalidatedPeerInfo::try_from(info) {
        Ok(info) => PeerValidator::new(config).validate_peer(info, None).map_err(|e| e.to_string()),
        Err(e) => Err(e.to_string()),
    };
    match peer {
        Ok(peer) => json!({
            "public_key": key,
            "addresses": peer.addresses.iter().map(|a| a.address().to_string()).collect::<Vec<_>>(),
        }),
        Err(e) => json!({"public_key": key, "error": e}),
    }
}
