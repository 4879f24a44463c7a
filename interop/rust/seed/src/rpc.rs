//! The RPC service of the modern peer (interop/rust/modern/src/rpc.rs), made with
//! the macro of the crate of 2020, and a client of it.
//!
//!   {"cmd":"rpc", "node_id":…, "call":…, …}   a session, a call on it, and an echo behind it
//!
//!     echo    size, seed            sends size bytes of the pattern, wants them back
//!     count   n, take               0 counts for ever; take, if not 0, stops after so many
//!     large   size, seed
//!     fail    code
//!     slow    millis
//!
//!   deadline_millis, grace_millis   of the client; 0 means the crate's own
//!
//!   {"cmd":"rpc_sessions", "node_id":…, "count":…}   so many sessions at a time: how many opened, and how many work then

use crate::{node_id, number, pattern, AnyError};
use futures::{channel::mpsc, SinkExt, StreamExt};
use serde_json::{json, Value};
use std::time::{Duration, Instant};
use tari_comms::{
    protocol::rpc::{Request, Response, RpcError, RpcStatus, Streaming},
    CommsNode,
};
use tari_comms_rpc_macros::tari_rpc;

#[tari_rpc(protocol_name = b"t/interop/1", server_struct = InteropServer, client_struct = InteropClient)]
pub trait Interop: Send + Sync + 'static {
    #[rpc(method = 1)]
    async fn echo(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, RpcStatus>;
    #[rpc(method = 2)]
    async fn count(&self, request: Request<u64>) -> Result<Streaming<u64>, RpcStatus>;
    #[rpc(method = 3)]
    async fn large(&self, request: Request<u64>) -> Result<Response<Vec<u8>>, RpcStatus>;
    #[rpc(method = 4)]
    async fn fail(&self, request: Request<u32>) -> Result<Response<()>, RpcStatus>;
    #[rpc(method = 5)]
    async fn slow(&self, request: Request<u64>) -> Result<Response<()>, RpcStatus>;
}

pub struct Service;

#[tari_comms::async_trait]
impl Interop for Service {
    async fn echo(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, RpcStatus> {
        Ok(Response::new(request.into_message()))
    }

    async fn count(&self, request: Request<u64>) -> Result<Streaming<u64>, RpcStatus> {
        let n = request.into_message();
        let (mut tx, rx) = mpsc::channel(10);
        tokio::spawn(async move {
            let mut i = 0;
            while (n == 0 || i < n) && tx.send(Ok(i)).await.is_ok() {
                i += 1;
            }
        });
        Ok(Streaming::new(rx))
    }

    async fn large(&self, request: Request<u64>) -> Result<Response<Vec<u8>>, RpcStatus> {
        Ok(Response::new(pattern::message(0, 0, request.into_message() as usize)))
    }

    async fn fail(&self, request: Request<u32>) -> Result<Response<()>, RpcStatus> {
        let text = "as asked";
        Err(match request.into_message() {
            1 => RpcStatus::bad_request(text),
            2 => RpcStatus::unsupported_method(text),
            3 => RpcStatus::not_implemented(text),
            4 => RpcStatus::timed_out(text),
            7 => RpcStatus::not_found(text),
            _ => RpcStatus::general(text),
        })
    }

    async fn slow(&self, request: Request<u64>) -> Result<Response<()>, RpcStatus> {
        tokio::time::delay_for(Duration::from_millis(request.into_message())).await;
        Ok(Response::new(()))
    }
}

async fn connect(node: &CommsNode, command: &Value) -> Result<InteropClient, AnyError> {
    let mut conn = node.connectivity().dial_peer(node_id(command)?).await?;
    let mut builder = InteropClient::builder();
    if let millis @ 1..=std::u64::MAX = number(command, "deadline_millis") {
        builder = builder.with_deadline(Duration::from_millis(millis));
    }
    if let millis @ 1..=std::u64::MAX = number(command, "grace_millis") {
        builder = builder.with_deadline_grace_period(Duration::from_millis(millis));
    }
    Ok(conn.connect_rpc_using_builder(builder).await?)
}

pub async fn call(node: &CommsNode, command: &Value) -> Result<Value, AnyError> {
    let mut client = connect(node, command).await?;
    let started = Instant::now();
    let mut answer = match one(&mut client, command).await {
        Ok(answer) => answer,
        Err(RpcError::RequestFailed(status)) => json!({"code": status.as_code(), "details": status.details()}),
        Err(e) => json!({"code": -1, "details": e.to_string()}),
    };
    answer["ok"] = json!(true);
    answer["millis"] = json!(started.elapsed().as_millis() as u64);
    let behind = client.echo(b"behind".to_vec()).await;
    answer["usable"] = json!(behind.as_ref().map(|b| b == b"behind").unwrap_or(false));
    answer["behind"] = json!(behind.err().map(|e| e.to_string()));
    client.close();
    Ok(answer)
}

async fn one(client: &mut InteropClient, command: &Value) -> Result<Value, RpcError> {
    let (size, seed) = (number(command, "size") as usize, number(command, "seed"));
    Ok(match command["call"].as_str().unwrap_or_default() {
        "echo" => {
            let got = client.echo(pattern::message(seed, 0, size)).await?;
            json!({"size": got.len(), "sha256": pattern::sha256(&got)})
        },
        "large" => {
            let got = client.large(size as u64).await?;
            json!({"size": got.len(), "sha256": pattern::sha256(&got)})
        },
        "count" => {
            let mut items = client.count(number(command, "n")).await?;
            let (mut received, take) = (0u64, number(command, "take"));
            while take == 0 || received < take {
                match items.next().await {
                    Some(Ok(i)) if i == received => received += 1,
                    Some(Ok(i)) => return Ok(json!({"code": -2, "details": format!("item {} is {}", received, i)})),
                    Some(Err(e)) => return Err(e.into()),
                    None => break,
                }
            }
            json!({"items": received})
        },
        "fail" => {
            client.fail(number(command, "code") as u32).await?;
            json!({})
        },
        "slow" => {
            client.slow(number(command, "millis")).await?;
            json!({})
        },
        other => json!({"code": -3, "details": format!("unknown call {}", other)}),
    })
}

pub async fn sessions(node: &CommsNode, command: &Value) -> Result<Value, AnyError> {
    let (mut clients, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..number(command, "count") {
        match connect(node, command).await {
            Ok(client) => clients.push(client),
            Err(e) => refused.push(e.to_string()),
        }
    }
    let mut working = Vec::new();
    for client in &mut clients {
        working.push(client.echo(b"still here".to_vec()).await.is_ok());
    }
    for client in &mut clients {
        client.close();
    }
    Ok(json!({"ok": true, "opened": clients.len(), "refused": refused, "working": working}))
}
