//! The RPC service "bench/rpc", made with the crate's own macro, and its client.

use std::time::Instant;

use futures::StreamExt;
use serde_json::{json, Value};
use tari_comms::protocol::rpc::{Request, Response, RpcStatus, Streaming};
use tari_comms_rpc_macros::tari_rpc;
use tokio::sync::mpsc;

use crate::{dial, number, AnyError, Bench};

#[tari_rpc(protocol_name = b"bench/rpc", server_struct = BenchServer, client_struct = BenchClient)]
pub trait BenchRpc: Send + Sync + 'static {
    /// Answers with what it is sent.
    #[rpc(method = 1)]
    async fn echo(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, RpcStatus>;
    /// Answers with so many items, of so many bytes: the number in the upper half of the request, the bytes in the lower.
    #[rpc(method = 2)]
    async fn items(&self, request: Request<u64>) -> Result<Streaming<Vec<u8>>, RpcStatus>;
}

pub struct Service;

#[tari_comms::async_trait]
impl BenchRpc for Service {
    async fn echo(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, RpcStatus> {
        Ok(Response::new(request.into_message()))
    }

    async fn items(&self, request: Request<u64>) -> Result<Streaming<Vec<u8>>, RpcStatus> {
        let wanted = request.into_message();
        let (count, size) = (wanted >> 32, (wanted & 0xffff_ffff) as usize);
        let (tx, rx) = mpsc::channel(100);
        tokio::spawn(async move {
            for _ in 0..count {
                if tx.send(Ok(vec![7u8; size])).await.is_err() {
                    return;
                }
            }
        });
        Ok(Streaming::new(rx))
    }
}

async fn connect(bench: &Bench, command: &Value) -> Result<BenchClient, AnyError> {
    Ok(dial(bench, command).await?.connect_rpc::<BenchClient>().await?)
}

/// n calls of 64 bytes, one after the other, after a hundred to warm up.
pub async fn calls(bench: &Bench, command: &Value) -> Result<Value, AnyError> {
    let mut client = connect(bench, command).await?;
    let (mut all, mut failed) = (Vec::new(), 0);
    let n = number(command, "n") + 100;
    let mut done = 0;
    while done < n {
        let began = Instant::now();
        if client.echo(vec![7u8; 64]).await.is_err() {
            // The crate's server may end a session whose next request is there too soon.
            failed += 1;
            if failed > n / 10 {
                return Err("too many calls failed".into());
            }
            client = connect(bench, command).await?;
            continue;
        }
        if done >= 100 {
            all.push(began.elapsed().as_secs_f64());
        }
        done += 1;
    }
    client.close().await;
    let seconds: f64 = all.iter().sum();
    all.sort_by(f64::total_cmp);
    Ok(json!({"ok": true, "seconds": seconds, "p50": all[all.len() / 2], "p99": all[all.len() * 99 / 100]}))
}

/// One stream of n items of size bytes.
pub async fn items(bench: &Bench, command: &Value) -> Result<Value, AnyError> {
    let mut client = connect(bench, command).await?;
    let (n, size) = (number(command, "n"), number(command, "size"));
    let began = Instant::now();
    let mut items = client.items(n << 32 | size).await?;
    let mut received = 0;
    while let Some(item) = items.next().await {
        if item?.len() as u64 != size {
            return Err("an item of another size".into());
        }
        received += 1;
    }
    let seconds = began.elapsed().as_secs_f64();
    if received != n {
        return Err(format!("{received} items of {n}").into());
    }
    client.close().await;
    Ok(json!({"ok": true, "seconds": seconds}))
}
