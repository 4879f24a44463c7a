//! A Tari node on the published crate tari_comms 6.3.0-pre.2, driven by a test:
//! commands come in as JSON lines on stdin, everything that happens goes out as
//! JSON lines on stdout.
//!
//! Every command may carry an "id"; its answer is one {"event":"reply"} line
//! with the same id, "ok" and, if not ok, "error". Commands run at the same
//! time; nothing waits for the one before.
//!
//!   dial       public_key, addresses      store the peer, connect to it
//!   add_peer   public_key, addresses      store the peer
//!   send       node_id, size, count, seed | hex    messages, in order
//!   duplex     node_id, size, seed        open "duplex/1", write size bytes while reading size bytes
//!   open       node_id, protocol          open and negotiate a substream, then drop it
//!   peer       public_key                 what is stored of a peer
//!   connections                           who is connected
//!   disconnect node_id
//!   unban      node_id
//!   rpc, rpc_sessions, rpc_served         see rpc.rs
//!   chain, chain_lie, chain_pause, chain_served   see basenode.rs
//!   get_peers                             see dht.rs
//!   quit
//!
//! --rpc-sessions, --rpc-peer-sessions and --rpc-cull set the limits of its RPC
//! server.
//!
//! With --socks /ip4/…/tcp/N it dials everything through that SOCKS5 proxy.
//!
//! Events: ready, connected, disconnected, connect_failed, inbound_failed,
//! violation, banned, message, duplex, reply, bye.

mod basenode;
mod checks;
mod dht;
mod pattern;
mod rpc;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::stream::{FuturesOrdered, StreamExt};
use serde_json::{json, Value};
use tari_common_sqlite::{
    connection::{DbConnection, DbConnectionUrl},
    DbProfile,
};
use tari_comms::{
    connection_manager::ConnectionManagerEvent,
    connectivity::ConnectivityEvent,
    message::{InboundMessage, OutboundMessage},
    multiaddr::Multiaddr,
    net_address::{MultiaddressesWithStats, PeerAddressSource},
    peer_manager::{
        database::{PeerDatabaseSql, MIGRATIONS},
        NodeId,
        NodeIdentity,
        Peer,
        PeerFeatures,
        PeerFlags,
    },
    pipeline,
    protocol::{
        messaging::MessagingProtocolExtension,
        rpc::{RpcServer, RpcServerHandle},
        ProtocolEvent,
        ProtocolId,
        ProtocolNotification,
    },
    socks,
    transports::{predicate::FalsePredicate, SocksConfig, SocksTransport, TcpTransport},
    types::{CommsPublicKey, CommsSecretKey},
    CommsBuilder,
    CommsNode,
    Minimized,
    RefKind,
    Substream,
};
use tari_crypto::keys::SecretKey;
use tari_shutdown::Shutdown;
use tari_utilities::hex::Hex;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    sync::{broadcast, mpsc, oneshot},
};

const MESSAGING: &[u8] = b"t/msg/0.1";
const DUPLEX: &[u8] = b"duplex/1";
/// Messages handed to the crate and not yet answered: below its queue of 500 a
/// peer and of 8 MiB while it dials.
const IN_FLIGHT: usize = 200;
const IN_FLIGHT_BYTES: usize = 16 * 1024 * 1024;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn emit(v: Value) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{v}");
    let _ = out.flush();
}

/// --name value pairs.
struct Flags(HashMap<String, String>);

impl Flags {
    fn parse() -> Result<Self, AnyError> {
        let mut found = HashMap::new();
        let mut args = std::env::args().skip(1);
        while let Some(name) = args.next() {
            let name = name.strip_prefix("--").ok_or(format!("unexpected argument {name}"))?.to_string();
            let value = args.next().ok_or(format!("--{name} needs a value"))?;
            found.insert(name, value);
        }
        Ok(Self(found))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn number(&self, name: &str, default: u64) -> Result<u64, AnyError> {
        Ok(self.get(name).map(str::parse).transpose()?.unwrap_or(default))
    }
}

#[tokio::main]
async fn main() {
    if let Err(e) = run().await {
        emit(json!({"event": "fatal", "error": e.to_string()}));
        std::process::exit(1);
    }
}

async fn run() -> Result<(), AnyError> {
    let flags = Flags::parse()?;
    let secret_key = match flags.get("secret-key") {
        Some(hex) => CommsSecretKey::from_hex(hex).map_err(|e| e.to_string())?,
        None => CommsSecretKey::random(&mut rand::rng()),
    };
    let listen: Multiaddr = flags.get("listen").unwrap_or("/ip4/127.0.0.1/tcp/0").parse()?;
    let wire_byte = flags.number("wire-byte", 0)? as u8;
    let user_agent = flags.get("user-agent").unwrap_or("tari-peer-modern/6.3.0-pre.2").to_string();

    let identity = Arc::new(NodeIdentity::new(secret_key, vec![], PeerFeatures::COMMUNICATION_NODE));
    let db = match flags.get("data-dir") {
        Some(dir) => DbConnection::connect_and_migrate(
            &DbConnectionUrl::file(std::path::Path::new(dir).join("peers.db")),
            MIGRATIONS,
            Some(10),
            DbProfile::Cache,
        )?,
        None => DbConnection::connect_temp_file_and_migrate(MIGRATIONS)?,
    };
    let database = PeerDatabaseSql::new(db, &identity.to_peer())?;

    let shutdown = Shutdown::new();
    let mut builder = CommsBuilder::new()
        .with_node_identity(identity.clone())
        .with_peer_storage(database)
        .with_listener_address(listen)
        .with_network_byte(wire_byte)
        .with_user_agent(&user_agent)
        .with_listener_liveness_max_sessions(flags.number("liveness-sessions", 0)? as usize)
        .with_max_dial_attempts(flags.number("dial-attempts", 1)? as usize)
        .with_proactive_dialing_enabled(false)
        .with_shutdown_signal(shutdown.to_signal());
    if flags.get("allow-test-addresses") != Some("false") {
        builder = builder.allow_test_addresses();
    }

    let (messages_out, outbound_rx) = mpsc::unbounded_channel();
    let (inbound_tx, inbound_rx) = mpsc::channel(10);
    let (messaging_events, _) = broadcast::channel(100);
    let (duplex_tx, duplex_rx) = mpsc::channel(10);

    let rpc_server = RpcServer::builder()
        .with_maximum_simultaneous_sessions(flags.number("rpc-sessions", 100)? as usize)
        .with_maximum_sessions_per_client(flags.number("rpc-peer-sessions", 10)? as usize)
        .with_cull_oldest_peer_rpc_connection_on_full(flags.get("rpc-cull") != Some("false"))
        .finish();
    let rpc_handle = rpc_server.get_handle();
    let chain = basenode::Chain::new();

    let node = builder
        .build()?
        .add_rpc_server(
            rpc_server
                .add_service(rpc::InteropServer::new(rpc::Service))
                .add_service(basenode::SyncServer::new(chain.clone()))
                .add_service(basenode::WalletServer::new(chain.clone()))
                .add_service(basenode::MempoolServer::new(chain.clone())),
        )
        .add_protocol_extension(
            MessagingProtocolExtension::new(
                ProtocolId::from_static(MESSAGING),
                messaging_events,
                // One task at a time each way: more would lose the order.
                pipeline::Builder::new()
                    .max_concurrent_inbound_tasks(1)
                    .max_concurrent_outbound_tasks(1)
                    .with_outbound_pipeline(outbound_rx, |sink| sink)
                    .with_inbound_pipeline(pipeline::SinkService::new(inbound_tx))
                    .build(),
            )
            .with_ban_duration(Duration::from_secs(flags.number("messaging-ban-secs", 600)?)),
        )
        .add_protocol([ProtocolId::from_static(DUPLEX)], &duplex_tx);
    let node = match flags.get("dht") {
        Some("true") => {
            let dht = dht::build(&node).await?;
            node.add_rpc_server(RpcServer::builder().finish().add_service(dht.rpc_service()))
        },
        _ => node,
    };
    // Through a proxy, such as Tor's, everything is dialed; listening is TCP either way.
    let mut node = match flags.get("socks") {
        Some(proxy) => {
            let transport = SocksTransport::new(SocksConfig {
                proxy_address: proxy.parse()?,
                authentication: socks::Authentication::None,
                proxy_bypass_predicate: Arc::new(FalsePredicate::new()),
            });
            node.spawn_with_transport(transport).await?
        },
        None => node.spawn_with_transport(TcpTransport::new()).await?,
    };

    tokio::spawn(report_connections(node.subscribe_connection_manager_events()));
    tokio::spawn(report_bans(node.subscribe_connectivity_events()));
    tokio::spawn(report_messages(inbound_rx));
    tokio::spawn(serve_duplex(duplex_rx));

    let address = node.connection_manager_requester().wait_until_listening().await?;
    let address = address.bind_address().clone();
    match flags.get("public-address") {
        Some(public) => identity.set_public_addresses(vec![public.parse()?]),
        None => identity.set_public_addresses(vec![address.clone()]),
    }
    emit(json!({
        "event": "ready",
        "public_key": identity.public_key().to_hex(),
        "node_id": identity.node_id().to_hex(),
        "address": address.to_string(),
        "wire_byte": wire_byte,
        "user_agent": user_agent,
        "crate": "tari_comms 6.3.0-pre.2",
    }));

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        if line.trim().is_empty() {
            continue;
        }
        let command: Value = serde_json::from_str(&line)?;
        if command["cmd"] == "quit" {
            break;
        }
        let node = node.clone();
        let (messages_out, rpc_handle, chain) = (messages_out.clone(), rpc_handle.clone(), chain.clone());
        tokio::spawn(async move {
            let id = command["id"].clone();
            let mut reply = match execute(node, messages_out, rpc_handle, chain, &command).await {
                Ok(reply) => reply,
                Err(e) => json!({"ok": false, "error": e.to_string()}),
            };
            reply["event"] = json!("reply");
            reply["id"] = id;
            emit(reply);
        });
    }

    shutdown.trigger();
    node.wait_until_shutdown().await;
    emit(json!({"event": "bye"}));
    Ok(())
}

async fn execute(
    node: CommsNode,
    messages_out: mpsc::UnboundedSender<OutboundMessage>,
    rpc_handle: RpcServerHandle,
    chain: basenode::Chain,
    command: &Value,
) -> Result<Value, AnyError> {
    match command["cmd"].as_str().unwrap_or_default() {
        "dial" => {
            let peer = store_peer(&node, command).await?;
            let conn = node.connectivity().dial_peer(peer, RefKind::Weak).await?;
            Ok(json!({"ok": true, "address": conn.address().to_string(), "features": conn.peer_features().bits()}))
        },
        "add_peer" => {
            store_peer(&node, command).await?;
            Ok(json!({"ok": true}))
        },
        "send" => send(messages_out, command).await,
        "duplex" => {
            let (size, seed) = (number(command, "size"), number(command, "seed"));
            let mut conn = node.connectivity().dial_peer(node_id(command)?, RefKind::Weak).await?;
            let mut stream = conn.open_substream(&ProtocolId::from_static(DUPLEX)).await?.stream;
            stream.write_u64(size).await?;
            stream.write_u64(seed).await?;
            let (received, sha256) = exchange(stream, size, seed).await?;
            Ok(json!({"ok": true, "received": received, "sha256": sha256}))
        },
        "open" => {
            let protocol = command["protocol"].as_str().unwrap_or_default().to_string();
            let mut conn = node.connectivity().dial_peer(node_id(command)?, RefKind::Weak).await?;
            let substream = conn.open_substream(&ProtocolId::from(protocol.into_bytes())).await?;
            Ok(json!({"ok": true, "protocol": String::from_utf8_lossy(&substream.protocol)}))
        },
        "peer" => describe_peer(&node, &public_key(command)?).await,
        "connections" => {
            let connections: Vec<_> = node
                .connectivity()
                .get_active_connections()
                .await?
                .iter()
                .map(|c| json!({
                    "node_id": c.peer_node_id().to_hex(),
                    "direction": c.direction().as_str(),
                    "address": c.address().to_string(),
                    "substreams": c.substream_count(),
                }))
                .collect();
            Ok(json!({"ok": true, "connections": connections}))
        },
        "disconnect" => {
            let mut conn = node
                .connectivity()
                .get_connection(node_id(command)?, RefKind::Weak)
                .await?
                .ok_or("not connected")?;
            conn.disconnect(Minimized::No, "a test asked for it").await?;
            Ok(json!({"ok": true}))
        },
        "unban" => {
            node.peer_manager().unban_peer(&node_id(command)?).await?;
            Ok(json!({"ok": true}))
        },
        "checks" => checks::run(command),
        "rpc" => rpc::call(&node, command).await,
        "rpc_sessions" => rpc::sessions(&node, command).await,
        "rpc_served" => rpc::served(rpc_handle).await,
        "chain" | "chain_lie" | "chain_pause" | "chain_served" => chain.command(command),
        "get_peers" => dht::get_peers(&node, command).await,
        other => Err(format!("unknown command {other}").into()),
    }
}

fn number(command: &Value, name: &str) -> u64 {
    command[name].as_u64().unwrap_or_default()
}

fn node_id(command: &Value) -> Result<NodeId, AnyError> {
    Ok(NodeId::from_hex(command["node_id"].as_str().unwrap_or_default()).map_err(|e| e.to_string())?)
}

fn public_key(command: &Value) -> Result<CommsPublicKey, AnyError> {
    Ok(CommsPublicKey::from_hex(command["public_key"].as_str().unwrap_or_default()).map_err(|e| e.to_string())?)
}

async fn store_peer(node: &CommsNode, command: &Value) -> Result<NodeId, AnyError> {
    let key = public_key(command)?;
    let mut addresses = Vec::new();
    for a in command["addresses"].as_array().into_iter().flatten() {
        addresses.push(a.as_str().unwrap_or_default().parse::<Multiaddr>()?);
    }
    let id = NodeId::from_key(&key);
    node.peer_manager()
        .add_or_update_peer(Peer::new(
            key,
            id.clone(),
            MultiaddressesWithStats::from_addresses_with_source(addresses, &PeerAddressSource::Config),
            PeerFlags::default(),
            PeerFeatures::COMMUNICATION_NODE,
            vec![],
            String::new(),
        ))
        .await?;
    Ok(id)
}

/// Sends count messages in order and waits for the crate's verdict on each.
async fn send(messages_out: mpsc::UnboundedSender<OutboundMessage>, command: &Value) -> Result<Value, AnyError> {
    let to = node_id(command)?;
    let (size, seed) = (number(command, "size") as usize, number(command, "seed"));
    let fixed = match command["hex"].as_str() {
        Some(hex) => Some(tari_utilities::hex::from_hex(hex).map_err(|e| e.to_string())?),
        None => None,
    };
    let count = if fixed.is_some() { 1 } else { command["count"].as_u64().unwrap_or(1) };
    let in_flight = IN_FLIGHT.min((IN_FLIGHT_BYTES / size.max(1)).max(1));

    let mut verdicts = FuturesOrdered::new();
    let mut failed = Vec::new();
    let mut sent = 0u64;
    let mut note = |index: u64, verdict: Result<Result<(), _>, oneshot::error::RecvError>| match verdict {
        Ok(Ok(())) => sent += 1,
        Ok(Err(reason)) => failed.push(json!({"index": index, "reason": format!("{reason:?}")})),
        Err(_) => failed.push(json!({"index": index, "reason": "Dropped"})),
    };
    for index in 0..count {
        let body = fixed.clone().unwrap_or_else(|| pattern::message(seed, index, size));
        let (reply_tx, reply_rx) = oneshot::channel();
        messages_out.send(OutboundMessage::with_reply(to.clone(), body.into(), reply_tx.into()))?;
        verdicts.push_back(async move { (index, reply_rx.await) });
        if verdicts.len() >= in_flight {
            if let Some((index, verdict)) = verdicts.next().await {
                note(index, verdict);
            }
        }
    }
    while let Some((index, verdict)) = verdicts.next().await {
        note(index, verdict);
    }
    Ok(json!({"ok": failed.is_empty(), "sent": sent, "failed": failed}))
}

/// Writes size bytes of the pattern and reads size bytes, both at the same time.
async fn exchange(stream: Substream, size: u64, seed: u64) -> Result<(u64, String), AnyError> {
    let (mut read_half, mut write_half) = tokio::io::split(stream);
    let write = async {
        let mut source = pattern::Stream::new(seed);
        let mut left = size;
        let mut chunk = vec![0u8; 64 * 1024];
        while left > 0 {
            let n = left.min(chunk.len() as u64) as usize;
            source.fill(&mut chunk[..n]);
            write_half.write_all(&chunk[..n]).await?;
            left -= n as u64;
        }
        write_half.flush().await
    };
    let read = async {
        let mut hash = pattern::Sha256::new();
        let mut received = 0u64;
        let mut chunk = vec![0u8; 64 * 1024];
        while received < size {
            let n = read_half.read(&mut chunk).await?;
            if n == 0 {
                break;
            }
            hash.update(&chunk[..n]);
            received += n as u64;
        }
        Ok::<_, std::io::Error>((received, hash.hex()))
    };
    let (_, result) = futures::try_join!(write, read)?;
    write_half.shutdown().await?;
    Ok(result)
}

async fn serve_duplex(mut incoming: mpsc::Receiver<ProtocolNotification<Substream>>) {
    while let Some(notification) = incoming.recv().await {
        let ProtocolEvent::NewInboundSubstream(from, mut stream) = notification.event;
        tokio::spawn(async move {
            let served = async {
                let size = stream.read_u64().await?;
                let seed = stream.read_u64().await?;
                exchange(stream, size, seed.wrapping_add(1)).await
            };
            match served.await {
                Ok((received, sha256)) => emit(json!({
                    "event": "duplex", "node_id": from.to_hex(), "received": received, "sha256": sha256,
                })),
                Err(e) => emit(json!({"event": "duplex", "node_id": from.to_hex(), "error": e.to_string()})),
            }
        });
    }
}

async fn describe_peer(node: &CommsNode, key: &CommsPublicKey) -> Result<Value, AnyError> {
    let Some(peer) = node.peer_manager().find_by_public_key(key).await? else {
        return Ok(json!({"ok": true, "found": false}));
    };
    let banned_for = peer.banned_until().map(|until| {
        // NaiveDateTime, in UTC.
        until.and_utc().timestamp() - std::time::UNIX_EPOCH.elapsed().map(|d| d.as_secs() as i64).unwrap_or(0)
    });
    let claim = peer.addresses.addresses().iter().find_map(|a| a.source().peer_identity_claim());
    let addresses: Vec<_> = peer.addresses.address_iter().map(|a| a.to_string()).collect();
    let protocols: Vec<_> = peer.supported_protocols().iter().map(|p| String::from_utf8_lossy(p)).collect();
    Ok(json!({
        "ok": true,
        "found": true,
        "node_id": peer.node_id.to_hex(),
        "addresses": addresses,
        "features": peer.features.bits(),
        "protocols": protocols,
        "user_agent": peer.user_agent,
        "banned": peer.is_banned(),
        "banned_for_secs": banned_for,
        "ban_reason": peer.reason_banned(),
        "claimed": claim.is_some(),
        "signature_valid": claim.map(|c| c.verify(key).is_ok()).unwrap_or(false),
        "claim_addresses": claim.map(|c| c.addresses.iter().map(|a| a.to_string()).collect::<Vec<_>>()),
        "claim_features": claim.map(|c| c.features.bits()),
        "updated_at": claim.map(|c| c.signature.updated_at().timestamp()),
    }))
}

async fn report_messages(mut inbound: mpsc::Receiver<InboundMessage>) {
    let mut number = 0u64;
    while let Some(message) = inbound.recv().await {
        let body = &message.body;
        let mut event = json!({
            "event": "message",
            "number": number,
            "node_id": message.source_peer.to_hex(),
            "size": body.len(),
            "sha256": pattern::sha256(body),
        });
        if body.len() <= 64 {
            event["hex"] = json!(tari_utilities::hex::to_hex(body));
        }
        emit(event);
        number += 1;
    }
}

async fn report_connections(mut events: broadcast::Receiver<Arc<ConnectionManagerEvent>>) {
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        match &*event {
            ConnectionManagerEvent::PeerConnected(conn) => emit(json!({
                "event": "connected",
                "node_id": conn.peer_node_id().to_hex(),
                "direction": conn.direction().as_str(),
                "address": conn.address().to_string(),
                "features": conn.peer_features().bits(),
            })),
            ConnectionManagerEvent::PeerDisconnected(_, id, _) => {
                emit(json!({"event": "disconnected", "node_id": id.to_hex()}))
            },
            ConnectionManagerEvent::PeerConnectFailed(id, e) => emit(json!({
                "event": "connect_failed", "node_id": id.to_hex(), "error": e.to_string(), "debug": format!("{e:?}"),
            })),
            ConnectionManagerEvent::PeerInboundConnectFailed(e) => emit(json!({
                "event": "inbound_failed", "error": e.to_string(), "debug": format!("{e:?}"),
            })),
            ConnectionManagerEvent::PeerViolation { peer_node_id, details } => emit(json!({
                "event": "violation", "node_id": peer_node_id.to_hex(), "error": details,
            })),
            ConnectionManagerEvent::NewInboundSubstream(..) => {},
        }
    }
}

async fn report_bans(mut events: broadcast::Receiver<ConnectivityEvent>) {
    loop {
        match events.recv().await {
            Ok(ConnectivityEvent::PeerBanned(id)) => emit(json!({"event": "banned", "node_id": id.to_hex()})),
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {},
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
