//! The crate's peer manager, on SQLite in a file as a node has it.

use std::time::Instant;

use serde_json::{json, Value};
use tari_common_sqlite::connection::DbConnection;
use tari_comms::{
    multiaddr::Multiaddr,
    net_address::{MultiaddressesWithStats, PeerAddressSource},
    peer_manager::{
        database::{PeerDatabaseSql, MIGRATIONS},
        NodeId,
        Peer,
        PeerFeatures,
        PeerFlags,
        PeerManager,
    },
    types::{CommsPublicKey, CommsSecretKey},
};
use tari_crypto::keys::{PublicKey, SecretKey};

use crate::{number, AnyError};

/// A manager of its own, which no node looks after, and the node ids of all that are in it.
pub struct Book {
    manager: PeerManager,
    nodes: Vec<NodeId>,
}

fn stranger(n: u64) -> Result<Peer, AnyError> {
    let key = CommsPublicKey::from_secret_key(&CommsSecretKey::random(&mut rand::rng()));
    let address: Multiaddr = format!("/ip4/90.{}.{}.{}/tcp/1", n >> 16, n >> 8 & 255, n & 255).parse()?;
    Ok(Peer::new(
        key.clone(),
        NodeId::from_key(&key),
        MultiaddressesWithStats::from_addresses_with_source(vec![address], &PeerAddressSource::Config),
        PeerFlags::default(),
        PeerFeatures::COMMUNICATION_NODE,
        vec![],
        String::new(),
    ))
}

/// Each peer is a transaction of its own, for which the crate has no alternative.
fn fill(size: u64) -> Result<Book, AnyError> {
    let database = PeerDatabaseSql::new(DbConnection::connect_temp_file_and_migrate(MIGRATIONS)?, &stranger(0)?)?;
    let mut nodes = Vec::new();
    for n in 0..size {
        let peer = stranger(n)?;
        nodes.push(peer.node_id.clone());
        database.add_or_update_peer(peer)?;
    }
    Ok(Book { manager: PeerManager::new(database, vec![])?, nodes })
}

/// n peers by their node ids, from a book that is filled before.
pub async fn get(book: &mut Option<Book>, command: &Value) -> Result<Value, AnyError> {
    if book.is_none() {
        *book = Some(fill(number(command, "size"))?);
    }
    let Book { manager, nodes } = book.as_ref().ok_or("no book")?;
    let began = Instant::now();
    for _ in 0..number(command, "n") {
        let node = &nodes[rand::random_range(0..nodes.len())];
        manager.find_by_node_id(node).await?.ok_or("the book does not know a peer that is in it")?;
    }
    Ok(json!({"ok": true, "seconds": began.elapsed().as_secs_f64()}))
}
