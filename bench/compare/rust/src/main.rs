//! tari_comms 6.3.0-pre.2 as one of the stacks that bench/compare measures.
//! It speaks what every stack's child speaks, see child.go: commands come in as
//! JSON lines, each is answered by one line.
//!
//!   serve    listens, counts messages, serves "bench/sink", "bench/echo" and, by RPC, "bench/rpc"
//!   client   dials whom each command names

mod book;
mod rpc;

use std::{
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};

use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::{json, Value};
use tari_common_sqlite::connection::DbConnection;
use tari_comms::{
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
        rpc::RpcServer,
        ProtocolEvent,
        ProtocolId,
        ProtocolNotification,
    },
    transports::TcpTransport,
    types::{CommsPublicKey, CommsSecretKey},
    CommsBuilder,
    CommsNode,
    Minimized,
    PeerConnection,
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

const SINK: &[u8] = b"bench/sink";
const ECHO: &[u8] = b"bench/echo";
/// Messages handed to the crate and not yet answered; its queue of a peer holds 500.
const IN_FLIGHT: usize = 400;
const CHUNK: usize = 64 * 1024;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn emit(v: Value) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{v}");
    let _ = out.flush();
}

/// A node and what its messages go through.
struct Bench {
    node: CommsNode,
    key: CommsPublicKey,
    messages: mpsc::UnboundedSender<OutboundMessage>,
    received: Arc<AtomicU64>,
    _shutdown: Shutdown,
}

async fn start(network: u8) -> Result<Bench, AnyError> {
    let identity = Arc::new(NodeIdentity::new(
        CommsSecretKey::random(&mut rand::rng()),
        vec![],
        PeerFeatures::COMMUNICATION_NODE,
    ));
    let database = PeerDatabaseSql::new(DbConnection::connect_temp_file_and_migrate(MIGRATIONS)?, &identity.to_peer())?;
    let shutdown = Shutdown::new();
    let (messages, outbound) = mpsc::unbounded_channel();
    let (inbound_tx, inbound) = mpsc::channel(1000);
    let (events, _) = broadcast::channel(100);
    let (streams_tx, streams) = mpsc::channel(10);
    let mut node = CommsBuilder::new()
        .with_node_identity(identity.clone())
        .with_peer_storage(database)
        .with_listener_address("/ip4/127.0.0.1/tcp/0".parse::<Multiaddr>()?)
        .with_network_byte(network)
        .with_user_agent(&"bench")
        .with_max_dial_attempts(1)
        .with_proactive_dialing_enabled(false)
        .allow_test_addresses()
        .with_shutdown_signal(shutdown.to_signal())
        .build()?
        .add_rpc_server(RpcServer::builder().finish().add_service(rpc::BenchServer::new(rpc::Service)))
        .add_protocol_extension(MessagingProtocolExtension::new(
            ProtocolId::from_static(b"t/msg/0.1"),
            events,
            pipeline::Builder::new()
                .with_outbound_pipeline(outbound, |sink| sink)
                .with_inbound_pipeline(pipeline::SinkService::new(inbound_tx))
                .build(),
        ))
        .add_protocol([ProtocolId::from_static(SINK), ProtocolId::from_static(ECHO)], &streams_tx)
        .spawn_with_transport(TcpTransport::new())
        .await?;
    let received = Arc::new(AtomicU64::new(0));
    tokio::spawn(count(inbound, received.clone()));
    tokio::spawn(serve(streams));
    let address = node.connection_manager_requester().wait_until_listening().await?;
    identity.set_public_addresses(vec![address.bind_address().clone()]);
    Ok(Bench { node, key: identity.public_key().clone(), messages, received, _shutdown: shutdown })
}

async fn count(mut inbound: mpsc::Receiver<InboundMessage>, received: Arc<AtomicU64>) {
    while inbound.recv().await.is_some() {
        received.fetch_add(1, Ordering::Relaxed);
    }
}

async fn serve(mut incoming: mpsc::Receiver<ProtocolNotification<Substream>>) {
    while let Some(notification) = incoming.recv().await {
        let ProtocolEvent::NewInboundSubstream(_, stream) = notification.event;
        let echo = notification.protocol == ProtocolId::from_static(ECHO);
        tokio::spawn(async move {
            let _ = if echo { serve_echo(stream).await } else { serve_sink(stream).await };
        });
    }
}

async fn serve_echo(mut stream: Substream) -> std::io::Result<()> {
    let mut buffer = vec![0u8; CHUNK];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..n]).await?;
        stream.flush().await?;
    }
}

async fn serve_sink(mut stream: Substream) -> std::io::Result<()> {
    let mut left = stream.read_u64().await?;
    let mut buffer = vec![0u8; CHUNK];
    while left > 0 {
        let n = stream.read(&mut buffer).await? as u64;
        if n == 0 {
            return Ok(());
        }
        left -= n.min(left);
    }
    stream.write_all(&[1]).await?;
    stream.shutdown().await
}

#[tokio::main]
async fn main() {
    if let Err(e) = run().await {
        emit(json!({"error": e.to_string()}));
        std::process::exit(1);
    }
}

async fn run() -> Result<(), AnyError> {
    let network = std::env::var("BENCH_NETWORK")?.parse::<u8>()?;
    let mut bench = start(network).await?;
    let address = bench.node.connection_manager_requester().wait_until_listening().await?.bind_address().to_string();
    emit(json!({"ok": true, "at": format!("{}::{}", bench.key.to_hex(), address)}));
    // Those beside the first, for dials at the same time.
    let mut more: Vec<Bench> = Vec::new();
    let mut book = None;

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let command: Value = serde_json::from_str(&line)?;
        let reply = match command["cmd"].as_str().unwrap_or_default() {
            "quit" => break,
            "expect" => expect(&bench, number(&command, "n")).await,
            "messages" => messages(&bench, &command).await,
            "bulk" => bulk(&bench, &command).await,
            "rtt" => rtt(&bench, &command).await,
            "first" => first(&bench, &command).await,
            "calls" => rpc::calls(&bench, &command).await,
            "items" => rpc::items(&bench, &command).await,
            "get" => book::get(&mut book, &command).await,
            "connect" => {
                let parallel = number(&command, "parallel").max(1) as usize;
                while more.len() + 1 < parallel {
                    more.push(start(network).await?);
                }
                let dialers: Vec<&Bench> = std::iter::once(&bench).chain(more.iter()).take(parallel).collect();
                connect(dialers, &command).await
            },
            other => Err(format!("unknown command {other}").into()),
        };
        emit(reply.unwrap_or_else(|e| json!({"ok": false, "error": e.to_string()})));
    }
    Ok(())
}

fn number(command: &Value, name: &str) -> u64 {
    command[name].as_u64().unwrap_or_default()
}

/// Waits until n messages have arrived since the last time.
async fn expect(bench: &Bench, n: u64) -> Result<Value, AnyError> {
    while bench.received.load(Ordering::Relaxed) < n {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bench.received.fetch_sub(n, Ordering::Relaxed);
    Ok(json!({"ok": true}))
}

async fn peer(bench: &Bench, command: &Value) -> Result<NodeId, AnyError> {
    let to = command["to"].as_str().unwrap_or_default();
    let (key, address) = to.split_once("::").ok_or("no KEY::ADDRESS")?;
    let key = CommsPublicKey::from_hex(key).map_err(|e| e.to_string())?;
    let id = NodeId::from_key(&key);
    bench
        .node
        .peer_manager()
        .add_or_update_peer(Peer::new(
            key,
            id.clone(),
            MultiaddressesWithStats::from_addresses_with_source(
                vec![address.parse::<Multiaddr>()?],
                &PeerAddressSource::Config,
            ),
            PeerFlags::default(),
            PeerFeatures::COMMUNICATION_NODE,
            vec![],
            String::new(),
        ))
        .await?;
    Ok(id)
}

async fn dial(bench: &Bench, command: &Value) -> Result<PeerConnection, AnyError> {
    let id = peer(bench, command).await?;
    Ok(bench.node.connectivity().dial_peer(id, RefKind::Weak).await?)
}

async fn open(bench: &Bench, command: &Value, protocol: &'static [u8]) -> Result<Substream, AnyError> {
    let mut conn = dial(bench, command).await?;
    Ok(conn.open_substream(&ProtocolId::from_static(protocol)).await?.stream)
}

async fn messages(bench: &Bench, command: &Value) -> Result<Value, AnyError> {
    let id = dial(bench, command).await?.peer_node_id().clone();
    let (count, size) = (number(command, "n"), number(command, "size") as usize);
    let body = vec![7u8; size];
    let in_flight = IN_FLIGHT.min(((16 << 20) / size.max(1)).max(1));
    let mut verdicts = FuturesUnordered::new();
    let mut failed = 0u64;
    let began = Instant::now();
    for _ in 0..count {
        let (reply_tx, reply) = oneshot::channel();
        bench.messages.send(OutboundMessage::with_reply(id.clone(), body.clone().into(), reply_tx.into()))?;
        verdicts.push(reply);
        if verdicts.len() >= in_flight {
            failed += !matches!(verdicts.next().await, Some(Ok(Ok(())))) as u64;
        }
    }
    while let Some(verdict) = verdicts.next().await {
        failed += !matches!(verdict, Ok(Ok(()))) as u64;
    }
    if failed > 0 {
        return Err(format!("{failed} messages were not sent").into());
    }
    Ok(json!({"ok": true, "seconds": began.elapsed().as_secs_f64()}))
}

async fn bulk(bench: &Bench, command: &Value) -> Result<Value, AnyError> {
    let mut stream = open(bench, command, SINK).await?;
    let mut left = number(command, "n");
    let chunk = vec![7u8; CHUNK];
    let began = Instant::now();
    stream.write_u64(left).await?;
    while left > 0 {
        let n = left.min(CHUNK as u64);
        stream.write_all(&chunk[..n as usize]).await?;
        left -= n;
    }
    stream.flush().await?;
    stream.read_u8().await?;
    let seconds = began.elapsed().as_secs_f64();
    stream.shutdown().await?;
    Ok(json!({"ok": true, "seconds": seconds}))
}

async fn rtt(bench: &Bench, command: &Value) -> Result<Value, AnyError> {
    let mut stream = open(bench, command, ECHO).await?;
    let mut buffer = [7u8; 64];
    let mut all = Vec::new();
    for i in 0..number(command, "n") + 100 {
        let began = Instant::now();
        stream.write_all(&buffer).await?;
        stream.flush().await?;
        stream.read_exact(&mut buffer).await?;
        if i >= 100 {
            all.push(began.elapsed().as_secs_f64());
        }
    }
    stream.shutdown().await?;
    let seconds: f64 = all.iter().sum();
    all.sort_by(f64::total_cmp);
    Ok(json!({"ok": true, "seconds": seconds, "p50": all[all.len() / 2], "p99": all[all.len() * 99 / 100]}))
}

/// How long it takes from a dial until a byte is back.
async fn first(bench: &Bench, command: &Value) -> Result<Value, AnyError> {
    let began = Instant::now();
    let mut stream = open(bench, command, ECHO).await?;
    stream.write_all(&[7]).await?;
    stream.flush().await?;
    stream.read_u8().await?;
    let seconds = began.elapsed().as_secs_f64();
    stream.shutdown().await?;
    Ok(json!({"ok": true, "seconds": seconds}))
}

/// Connects n times in all, each dialer after the end of its connection before.
async fn connect(dialers: Vec<&Bench>, command: &Value) -> Result<Value, AnyError> {
    let each = number(command, "n") / dialers.len() as u64;
    let began = Instant::now();
    futures::future::try_join_all(dialers.iter().map(|bench| async move {
        let id = peer(bench, command).await?;
        let mut done = 0;
        let mut failed = 0;
        while done < each {
            let attempt = async {
                let mut conn = bench.node.connectivity().dial_peer(id.clone(), RefKind::Weak).await?;
                let mut stream = conn.open_substream(&ProtocolId::from_static(ECHO)).await?.stream;
                stream.write_all(&[7]).await?;
                stream.flush().await?;
                stream.read_u8().await?;
                conn.disconnect(Minimized::No, "bench").await?;
                while conn.is_connected() {
                    tokio::time::sleep(Duration::from_micros(100)).await;
                }
                Ok::<_, AnyError>(())
            };
            // The crate may answer a dial with a connection that has just ended.
            match attempt.await {
                Ok(()) => done += 1,
                Err(e) => {
                    failed += 1;
                    if failed > each {
                        return Err(e);
                    }
                },
            }
        }
        Ok::<_, AnyError>(())
    }))
    .await?;
    Ok(json!({"ok": true, "seconds": began.elapsed().as_secs_f64()}))
}
