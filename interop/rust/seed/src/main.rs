//! A Tari node on the published crate tari_comms 0.8.1, driven by a test in the
//! same way as the modern one (interop/rust/modern): commands come in as JSON
//! lines on stdin, everything that happens goes out as JSON lines on stdout.
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
//!   checks     items                      see checks.rs
//!   rpc, rpc_sessions                     see rpc.rs
//!   quit
//!
//! --rpc-sessions sets the limit of its RPC server.
//!
//! Events: ready, connected, disconnected, connect_failed, inbound_failed,
//! banned, message, duplex, reply, bye.
//!
//! Written for rustc 1.48, the newest compiler that builds the crate.

mod checks;
mod pattern;
mod rpc;

use futures::{
    channel::{mpsc, oneshot},
    io::{AsyncReadExt, AsyncWriteExt},
    SinkExt,
    StreamExt,
};
use serde_json::{json, Value};
use std::{collections::HashMap, sync::Arc};
use tari_comms::{
    connection_manager::ConnectionManagerEvent,
    connectivity::ConnectivityEvent,
    message::{InboundMessage, OutboundMessage},
    multiaddr::Multiaddr,
    peer_manager::{NodeId, NodeIdentity, Peer, PeerFeatures, PeerFlags},
    pipeline,
    protocol::{messaging::MessagingProtocolExtension, rpc::RpcServer, ProtocolEvent, ProtocolNotification},
    transports::TcpTransport,
    types::{CommsPublicKey, CommsSecretKey},
    Bytes,
    CommsBuilder,
    CommsNode,
    Substream,
};
use tari_crypto::{
    keys::SecretKey,
    tari_utilities::hex::{from_hex, to_hex, Hex},
};
use tari_shutdown::Shutdown;
use tari_storage::{
    lmdb_store::{LMDBBuilder, LMDBConfig},
    LMDBWrapper,
};
use tokio::{io::AsyncBufReadExt, sync::broadcast};

const WIRE_BYTE: u8 = 0x06;
const DUPLEX: &[u8] = b"duplex/1";

type AnyError = Box<dyn std::error::Error + Send + Sync>;
type Messages = mpsc::Sender<OutboundMessage>;

fn emit(v: Value) {
    use std::io::Write;
    let out = std::io::stdout();
    let mut out = out.lock();
    let _ = writeln!(out, "{}", v);
    let _ = out.flush();
}

/// --name value pairs.
struct Flags(HashMap<String, String>);

impl Flags {
    fn parse() -> Result<Self, AnyError> {
        let mut found = HashMap::new();
        let mut args = std::env::args().skip(1);
        while let Some(name) = args.next() {
            let name = match name.strip_prefix("--") {
                Some(name) => name.to_string(),
                None => return Err(format!("unexpected argument {}", name).into()),
            };
            let value = args.next().ok_or_else(|| format!("--{} needs a value", name))?;
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

#[tokio::main(threaded_scheduler)]
async fn main() {
    if let Err(e) = run().await {
        emit(json!({"event": "fatal", "error": e.to_string()}));
        std::process::exit(1);
    }
    // Nothing here is worth waiting for threads of the runtime.
    std::process::exit(0);
}

async fn run() -> Result<(), AnyError> {
    let flags = Flags::parse()?;
    let secret_key = match flags.get("secret-key") {
        Some(hex) => CommsSecretKey::from_hex(hex).map_err(|e| e.to_string())?,
        None => CommsSecretKey::random(&mut rand::rngs::OsRng),
    };
    let listen: Multiaddr = flags.get("listen").unwrap_or("/ip4/127.0.0.1/tcp/0").parse()?;
    let user_agent = flags.get("user-agent").unwrap_or("tari-peer-seed/0.8.1").to_string();
    let data_dir = flags.get("data-dir").ok_or("--data-dir is required")?;

    let identity = Arc::new(NodeIdentity::new(secret_key, listen.clone(), PeerFeatures::COMMUNICATION_NODE)?);
    std::fs::create_dir_all(data_dir)?;
    let store = LMDBBuilder::new()
        .set_path(data_dir)
        .set_env_config(LMDBConfig::default())
        .set_max_number_of_databases(1)
        .add_database("peers", lmdb_zero::db::CREATE)
        .build()
        .map_err(|e| format!("{:?}", e))?;
    let peers = store.get_handle("peers").ok_or("no peer database")?;

    let mut shutdown = Shutdown::new();
    let mut builder = CommsBuilder::new()
        .with_node_identity(identity.clone())
        .with_peer_storage(LMDBWrapper::new(Arc::new(peers)), None)
        .with_listener_address(listen)
        .with_user_agent(&user_agent)
        .with_listener_liveness_max_sessions(flags.number("liveness-sessions", 0)? as usize)
        .with_max_dial_attempts(flags.number("dial-attempts", 1)? as usize)
        .with_shutdown_signal(shutdown.to_signal());
    if flags.get("allow-test-addresses") != Some("false") {
        builder = builder.allow_test_addresses();
    }

    let (messages_out, outbound_rx) = mpsc::channel(10);
    let (inbound_tx, inbound_rx) = mpsc::channel(10);
    let (messaging_events, _) = broadcast::channel(100);
    let (duplex_tx, duplex_rx) = mpsc::channel(10);

    let unspawned = builder
        .build()?
        .add_rpc_server(
            RpcServer::new()
                .maximum_concurrent_sessions(flags.number("rpc-sessions", 100)? as usize)
                .add_service(rpc::InteropServer::new(rpc::Service)),
        )
        .add_protocol_extension(MessagingProtocolExtension::new(
            messaging_events,
            pipeline::Builder::new()
                // One task at a time: more would lose the order.
                .max_concurrent_inbound_tasks(1)
                .with_outbound_pipeline(outbound_rx, |sink| sink)
                .with_inbound_pipeline(pipeline::SinkService::new(inbound_tx))
                .build(),
        ))
        .add_protocol(&[Bytes::from_static(DUPLEX)], duplex_tx);
    let node = unspawned.spawn_with_transport(TcpTransport::new()).await?;

    tokio::spawn(report_connections(node.subscribe_connection_manager_events()));
    tokio::spawn(report_bans(node.subscribe_connectivity_events()));
    tokio::spawn(report_messages(inbound_rx));
    tokio::spawn(serve_duplex(duplex_rx));

    let address = node.listening_address().clone();
    match flags.get("public-address") {
        Some(public) => identity.set_public_address(public.parse()?),
        None => identity.set_public_address(address.clone()),
    }
    emit(json!({
        "event": "ready",
        "public_key": identity.public_key().to_hex(),
        "node_id": identity.node_id().to_hex(),
        "address": address.to_string(),
        "wire_byte": WIRE_BYTE,
        "user_agent": user_agent,
        "crate": "tari_comms 0.8.1",
    }));

    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        if line.trim().is_empty() {
            continue;
        }
        let command: Value = serde_json::from_str(&line)?;
        if command["cmd"] == "quit" {
            break;
        }
        let node = node.clone();
        let messages_out = messages_out.clone();
        tokio::spawn(async move {
            let id = command["id"].clone();
            let mut reply = match execute(node, messages_out, &command).await {
                Ok(reply) => reply,
                Err(e) => json!({"ok": false, "error": e.to_string()}),
            };
            reply["event"] = json!("reply");
            reply["id"] = id;
            emit(reply);
        });
    }

    let _ = shutdown.trigger();
    node.wait_until_shutdown().await;
    emit(json!({"event": "bye"}));
    Ok(())
}

async fn execute(node: CommsNode, messages_out: Messages, command: &Value) -> Result<Value, AnyError> {
    match command["cmd"].as_str().unwrap_or_default() {
        "dial" => {
            let peer = store_peer(&node, command).await?;
            let conn = node.connectivity().dial_peer(peer).await?;
            Ok(json!({
                "ok": true,
                "address": conn.address().to_string(),
                "features": conn.peer_features().bits(),
            }))
        },
        "add_peer" => {
            store_peer(&node, command).await?;
            Ok(json!({"ok": true}))
        },
        "send" => send(messages_out, command).await,
        "duplex" => {
            let (size, seed) = (number(command, "size"), number(command, "seed"));
            let mut conn = node.connectivity().dial_peer(node_id(command)?).await?;
            let mut stream = conn.open_substream(&Bytes::from_static(DUPLEX)).await?.stream;
            stream.write_all(&size.to_be_bytes()).await?;
            stream.write_all(&seed.to_be_bytes()).await?;
            let (received, sha256) = exchange(stream, size, seed).await?;
            Ok(json!({"ok": true, "received": received, "sha256": sha256}))
        },
        "open" => {
            let protocol = command["protocol"].as_str().unwrap_or_default().to_string();
            let mut conn = node.connectivity().dial_peer(node_id(command)?).await?;
            let substream = conn.open_substream(&Bytes::from(protocol.into_bytes())).await?;
            Ok(json!({"ok": true, "protocol": String::from_utf8_lossy(&substream.protocol)}))
        },
        "peer" => describe_peer(&node, &public_key(command)?).await,
        "connections" => {
            let connections: Vec<Value> = node
                .connectivity()
                .get_active_connections()
                .await?
                .iter()
                .map(|c| {
                    json!({
                        "node_id": c.peer_node_id().to_hex(),
                        "direction": c.direction().to_string().to_lowercase(),
                        "address": c.address().to_string(),
                        "substreams": c.substream_count(),
                    })
                })
                .collect();
            Ok(json!({"ok": true, "connections": connections}))
        },
        "disconnect" => {
            let mut conn = node
                .connectivity()
                .get_connection(node_id(command)?)
                .await?
                .ok_or("not connected")?;
            conn.disconnect().await?;
            Ok(json!({"ok": true}))
        },
        "unban" => {
            node.peer_manager().unban_peer(&node_id(command)?).await?;
            Ok(json!({"ok": true}))
        },
        "checks" => checks::run(command),
        "rpc" => rpc::call(&node, command).await,
        "rpc_sessions" => rpc::sessions(&node, command).await,
        other => Err(format!("unknown command {}", other).into()),
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
    let id = NodeId::from_public_key(&key);
    node.peer_manager()
        .add_peer(Peer::new(
            key,
            id.clone(),
            addresses.into(),
            PeerFlags::empty(),
            PeerFeatures::COMMUNICATION_NODE,
            vec![],
            String::new(),
        ))
        .await?;
    Ok(id)
}

/// Sends count messages and waits for the crate's verdict on each before the
/// next: its outbound pipeline runs a task a message and would lose the order.
async fn send(mut messages_out: Messages, command: &Value) -> Result<Value, AnyError> {
    let to = node_id(command)?;
    let (size, seed) = (number(command, "size") as usize, number(command, "seed"));
    let fixed = match command["hex"].as_str() {
        Some(hex) => Some(from_hex(hex).map_err(|e| e.to_string())?),
        None => None,
    };
    let count = match fixed {
        Some(_) => 1,
        None => command["count"].as_u64().unwrap_or(1),
    };

    let mut failed = Vec::new();
    let mut sent = 0u64;
    for index in 0..count {
        let body = fixed.clone().unwrap_or_else(|| pattern::message(seed, index, size));
        let (reply_tx, reply_rx) = oneshot::channel();
        messages_out
            .send(OutboundMessage::with_reply(to.clone(), body.into(), reply_tx.into()))
            .await?;
        match reply_rx.await {
            Ok(Ok(())) => sent += 1,
            Ok(Err(reason)) => failed.push(json!({"index": index, "reason": format!("{:?}", reason)})),
            Err(_) => failed.push(json!({"index": index, "reason": "Dropped"})),
        }
    }
    Ok(json!({"ok": failed.is_empty(), "sent": sent, "failed": failed}))
}

/// Writes size bytes of the pattern and reads size bytes, both at the same time.
async fn exchange(stream: Substream, size: u64, seed: u64) -> Result<(u64, String), AnyError> {
    let (mut read_half, mut write_half) = stream.split();
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
    let (_, result) = futures::future::try_join(write, read).await?;
    write_half.close().await?;
    Ok(result)
}

async fn serve_duplex(mut incoming: mpsc::Receiver<ProtocolNotification<Substream>>) {
    while let Some(notification) = incoming.next().await {
        let ProtocolEvent::NewInboundSubstream(from, stream) = notification.event;
        tokio::spawn(async move {
            match serve_one_duplex(stream).await {
                Ok((received, sha256)) => emit(json!({
                    "event": "duplex", "node_id": from.to_hex(), "received": received, "sha256": sha256,
                })),
                Err(e) => emit(json!({"event": "duplex", "node_id": from.to_hex(), "error": e.to_string()})),
            }
        });
    }
}

async fn serve_one_duplex(mut stream: Substream) -> Result<(u64, String), AnyError> {
    let mut number = [0u8; 8];
    stream.read_exact(&mut number).await?;
    let size = u64::from_be_bytes(number);
    stream.read_exact(&mut number).await?;
    let seed = u64::from_be_bytes(number);
    exchange(stream, size, seed.wrapping_add(1)).await
}

async fn describe_peer(node: &CommsNode, key: &CommsPublicKey) -> Result<Value, AnyError> {
    if !node.peer_manager().exists(key).await {
        return Ok(json!({"ok": true, "found": false}));
    }
    let peer = node.peer_manager().find_by_public_key(key).await?;
    let addresses: Vec<String> = peer.addresses.iter().map(|a| a.to_string()).collect();
    let protocols: Vec<String> =
        peer.supported_protocols().iter().map(|p| String::from_utf8_lossy(p).to_string()).collect();
    Ok(json!({
        "ok": true,
        "found": true,
        "node_id": peer.node_id.to_hex(),
        "addresses": addresses,
        "features": peer.features.bits(),
        "protocols": protocols,
        "user_agent": peer.user_agent,
        "banned": peer.is_banned(),
        "ban_reason": peer.reason_banned(),
    }))
}

async fn report_messages(mut inbound: mpsc::Receiver<InboundMessage>) {
    let mut number = 0u64;
    while let Some(message) = inbound.next().await {
        let body = &message.body;
        let mut event = json!({
            "event": "message",
            "number": number,
            "node_id": message.source_peer.to_hex(),
            "size": body.len(),
            "sha256": pattern::sha256(body),
        });
        if body.len() <= 64 {
            event["hex"] = json!(to_hex(body));
        }
        emit(event);
        number += 1;
    }
}

async fn report_connections(mut events: broadcast::Receiver<Arc<ConnectionManagerEvent>>) {
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(broadcast::RecvError::Lagged(_)) => continue,
            Err(broadcast::RecvError::Closed) => return,
        };
        match &*event {
            ConnectionManagerEvent::PeerConnected(conn) => emit(json!({
                "event": "connected",
                "node_id": conn.peer_node_id().to_hex(),
                "direction": conn.direction().to_string().to_lowercase(),
                "address": conn.address().to_string(),
                "features": conn.peer_features().bits(),
            })),
            ConnectionManagerEvent::PeerDisconnected(id) => {
                emit(json!({"event": "disconnected", "node_id": id.to_hex()}))
            },
            ConnectionManagerEvent::PeerConnectFailed(id, e) => emit(json!({
                "event": "connect_failed",
                "node_id": id.to_hex(),
                "error": e.to_string(),
                "debug": format!("{:?}", e),
            })),
            ConnectionManagerEvent::PeerInboundConnectFailed(e) => emit(json!({
                "event": "inbound_failed", "error": e.to_string(), "debug": format!("{:?}", e),
            })),
            _ => {},
        }
    }
}

async fn report_bans(mut events: broadcast::Receiver<Arc<ConnectivityEvent>>) {
    loop {
        match events.recv().await {
            Ok(event) => {
                if let ConnectivityEvent::PeerBanned(id) = &*event {
                    emit(json!({"event": "banned", "node_id": id.to_hex()}));
                }
            },
            Err(broadcast::RecvError::Lagged(_)) => {},
            Err(broadcast::RecvError::Closed) => return,
        }
    }
}
