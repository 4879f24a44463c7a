//! The services of a base node that read the chain, with the messages and the
//! numbers that tari_core publishes, over a small chain that is the same in
//! every run. Its headers, and their hashes, are the crate's own.
//!
//!   {"cmd":"chain", "length":…, "fork_at":…, "salt":…, "difficulty":…, "synced":…}
//!
//!     the chain: blocks up to length; those above fork_at depend on salt.
//!     Ends lies and pauses. Answers with the hash of each block.
//!
//!   {"cmd":"chain_lie", "lie":…, "at":…}   what streams and answers do wrong at a height
//!
//!     unlinked   a header with another hash before it
//!     height     a header of the next height
//!     surplus    one header more than was asked for
//!     other      another header
//!     malformed  a hash of 31 bytes
//!     index      a split at a block that was not asked about
//!     body other, body short, body surplus
//!                a body of another block, a stream of bodies that ends before,
//!                one body more than was asked for
//!
//!   {"cmd":"chain_pause", "at":…}          streams wait before a height until the next "chain"
//!   {"cmd":"chain_served"}                 streams that were begun, and those that run

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use serde_json::{json, Value};
use tari_common::configuration::Network;
use tari_common_types::types::{FixedHash, PrivateKey};
use tari_comms::{
    peer_manager::NodeId,
    protocol::rpc::{Request, Response, RpcStatus, Streaming},
};
use tari_comms_rpc_macros::tari_rpc;
use tari_crypto::keys::SecretKey;
use tari_node_components::blocks::BlockHeader;
use tari_transaction_components::tari_proof_of_work::{PowAlgorithm, PowData, ProofOfWork};
use tari_utilities::{hex::Hex, ByteArray};
use tokio::sync::mpsc;

use crate::{number, AnyError};

/// The messages, declared by hand from the definitions in tari_core.
pub mod proto {
    use prost::Message;
    use tari_comms_rpc_macros::DecodeBudget;

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct ChainMetadata {
        #[prost(uint64, tag = "1")]
        pub best_block_height: u64,
        #[prost(bytes = "vec", tag = "2")]
        pub best_block_hash: Vec<u8>,
        #[prost(bytes = "vec", tag = "5")]
        pub accumulated_difficulty_low: Vec<u8>,
        #[prost(uint64, tag = "6")]
        pub pruned_height: u64,
        #[prost(uint64, tag = "7")]
        pub timestamp: u64,
        #[prost(bytes = "vec", tag = "8")]
        pub accumulated_difficulty_high: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct TipInfoResponse {
        #[prost(message, optional, tag = "1")]
        pub metadata: Option<ChainMetadata>,
        #[prost(bool, tag = "2")]
        pub is_synced: bool,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct SyncBlocksRequest {
        #[prost(bytes = "vec", tag = "1")]
        pub start_hash: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub end_hash: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct BlockBodyResponse {
        #[prost(bytes = "vec", tag = "1")]
        pub hash: Vec<u8>,
        #[prost(message, optional, tag = "2")]
        pub body: Option<AggregateBody>,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct SyncHeadersRequest {
        #[prost(bytes = "vec", tag = "1")]
        pub start_hash: Vec<u8>,
        #[prost(uint64, tag = "2")]
        pub count: u64,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct FindChainSplitRequest {
        #[prost(bytes = "vec", repeated, tag = "1")]
        pub block_hashes: Vec<Vec<u8>>,
        #[prost(uint64, tag = "2")]
        pub header_count: u64,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct FindChainSplitResponse {
        #[prost(message, repeated, tag = "1")]
        pub headers: Vec<BlockHeader>,
        #[prost(uint64, tag = "2")]
        pub fork_hash_index: u64,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct StatsResponse {
        #[prost(uint64, tag = "2")]
        pub unconfirmed_txs: u64,
        #[prost(uint64, tag = "5")]
        pub reorg_txs: u64,
        #[prost(uint64, tag = "6")]
        pub unconfirmed_weight: u64,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct ProofOfWork {
        #[prost(uint64, tag = "1")]
        pub pow_algo: u64,
        #[prost(bytes = "vec", tag = "4")]
        pub pow_data: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct BlockHeader {
        #[prost(uint32, tag = "1")]
        pub version: u32,
        #[prost(uint64, tag = "2")]
        pub height: u64,
        #[prost(bytes = "vec", tag = "4")]
        pub prev_hash: Vec<u8>,
        #[prost(uint64, tag = "5")]
        pub timestamp: u64,
        #[prost(bytes = "vec", tag = "6")]
        pub output_mr: Vec<u8>,
        #[prost(bytes = "vec", tag = "7")]
        pub block_output_mr: Vec<u8>,
        #[prost(bytes = "vec", tag = "8")]
        pub kernel_mr: Vec<u8>,
        #[prost(bytes = "vec", tag = "9")]
        pub input_mr: Vec<u8>,
        #[prost(bytes = "vec", tag = "10")]
        pub total_kernel_offset: Vec<u8>,
        #[prost(uint64, tag = "11")]
        pub nonce: u64,
        #[prost(message, optional, tag = "12")]
        pub pow: Option<ProofOfWork>,
        #[prost(uint64, tag = "13")]
        pub kernel_mmr_size: u64,
        #[prost(uint64, tag = "14")]
        pub output_mmr_size: u64,
        #[prost(bytes = "vec", tag = "15")]
        pub total_script_offset: Vec<u8>,
        #[prost(bytes = "vec", tag = "16")]
        pub validator_node_merkle_root: Vec<u8>,
        #[prost(uint64, tag = "17")]
        pub validator_node_size: u64,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct AggregateBody {
        #[prost(message, repeated, tag = "1")]
        pub inputs: Vec<TransactionInput>,
        #[prost(message, repeated, tag = "2")]
        pub outputs: Vec<TransactionOutput>,
        #[prost(message, repeated, tag = "3")]
        pub kernels: Vec<TransactionKernel>,
    }

    /// A compact input: what nodes send in blocks.
    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct TransactionInput {
        #[prost(bytes = "vec", tag = "4")]
        pub input_data: Vec<u8>,
        #[prost(message, optional, tag = "6")]
        pub script_signature: Option<ComAndPubSignature>,
        #[prost(bytes = "vec", tag = "8")]
        pub output_hash: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct TransactionOutput {
        #[prost(message, optional, tag = "1")]
        pub features: Option<OutputFeatures>,
        #[prost(message, optional, tag = "2")]
        pub commitment: Option<Commitment>,
        #[prost(message, optional, tag = "3")]
        pub range_proof: Option<RangeProof>,
        #[prost(bytes = "vec", tag = "4")]
        pub script: Vec<u8>,
        #[prost(bytes = "vec", tag = "5")]
        pub sender_offset_public_key: Vec<u8>,
        #[prost(message, optional, tag = "6")]
        pub metadata_signature: Option<ComAndPubSignature>,
        #[prost(bytes = "vec", tag = "7")]
        pub covenant: Vec<u8>,
        #[prost(uint32, tag = "8")]
        pub version: u32,
        #[prost(bytes = "vec", tag = "9")]
        pub encrypted_data: Vec<u8>,
        #[prost(uint64, tag = "10")]
        pub minimum_value_promise: u64,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct OutputFeatures {
        #[prost(uint32, tag = "1")]
        pub version: u32,
        #[prost(uint32, tag = "2")]
        pub output_type: u32,
        #[prost(uint64, tag = "3")]
        pub maturity: u64,
        #[prost(bytes = "vec", tag = "4")]
        pub coinbase_extra: Vec<u8>,
        #[prost(message, optional, tag = "5")]
        pub sidechain_feature: Option<SideChainFeature>,
        #[prost(uint32, tag = "6")]
        pub range_proof_type: u32,
    }

    /// One of its kinds.
    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct SideChainFeature {
        #[prost(message, optional, tag = "3")]
        pub confidential_output: Option<ConfidentialOutputData>,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct ConfidentialOutputData {
        #[prost(bytes = "vec", tag = "1")]
        pub claim_public_key: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct TransactionKernel {
        #[prost(uint32, tag = "1")]
        pub features: u32,
        #[prost(uint64, tag = "2")]
        pub fee: u64,
        #[prost(uint64, tag = "3")]
        pub lock_height: u64,
        #[prost(message, optional, tag = "6")]
        pub excess: Option<Commitment>,
        #[prost(message, optional, tag = "7")]
        pub excess_sig: Option<Signature>,
        #[prost(uint32, tag = "8")]
        pub version: u32,
        #[prost(message, optional, tag = "9")]
        pub burn_commitment: Option<Commitment>,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct Commitment {
        #[prost(bytes = "vec", tag = "1")]
        pub data: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct Signature {
        #[prost(bytes = "vec", tag = "1")]
        pub public_nonce: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub signature: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct ComAndPubSignature {
        #[prost(bytes = "vec", tag = "1")]
        pub ephemeral_commitment: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub ephemeral_pubkey: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")]
        pub u_a: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        pub u_x: Vec<u8>,
        #[prost(bytes = "vec", tag = "5")]
        pub u_y: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message, DecodeBudget)]
    pub struct RangeProof {
        #[prost(bytes = "vec", tag = "1")]
        pub proof_bytes: Vec<u8>,
    }
}

use proto::{
    BlockBodyResponse, ChainMetadata, FindChainSplitRequest, FindChainSplitResponse, StatsResponse, SyncBlocksRequest,
    SyncHeadersRequest, TipInfoResponse,
};

#[tari_rpc(protocol_name = b"t/blksync/1", server_struct = SyncServer, client_struct = SyncClient, reserved_methods = [7])]
pub trait BaseNodeSync: Send + Sync + 'static {
    #[rpc(method = 1, max_items = 262_144)]
    async fn sync_blocks(&self, request: Request<SyncBlocksRequest>) -> Result<Streaming<BlockBodyResponse>, RpcStatus>;
    #[rpc(method = 2, max_items = 65_536)]
    async fn sync_headers(&self, request: Request<SyncHeadersRequest>) -> Result<Streaming<proto::BlockHeader>, RpcStatus>;
    #[rpc(method = 3)]
    async fn get_header_by_height(&self, request: Request<u64>) -> Result<Response<proto::BlockHeader>, RpcStatus>;
    #[rpc(method = 4, max_items = 65_536, max_request_items = 2_048)]
    async fn find_chain_split(&self, request: Request<FindChainSplitRequest>) -> Result<Response<FindChainSplitResponse>, RpcStatus>;
    #[rpc(method = 5)]
    async fn get_chain_metadata(&self, request: Request<()>) -> Result<Response<ChainMetadata>, RpcStatus>;
}

#[tari_rpc(protocol_name = b"t/bnwallet/1", server_struct = WalletServer, client_struct = WalletClient)]
pub trait BaseNodeWallet: Send + Sync + 'static {
    #[rpc(method = 5)]
    async fn get_tip_info(&self, request: Request<()>) -> Result<Response<TipInfoResponse>, RpcStatus>;
}

#[tari_rpc(protocol_name = b"t/mempool/1", server_struct = MempoolServer, client_struct = MempoolClient)]
pub trait Mempool: Send + Sync + 'static {
    #[rpc(method = 1)]
    async fn get_stats(&self, request: Request<()>) -> Result<Response<StatsResponse>, RpcStatus>;
}

struct Inner {
    blocks: Vec<BlockHeader>,
    hashes: Vec<FixedHash>,
    difficulty: u64,
    synced: bool,
    lie: String,
    at: u64,
    pause_at: u64, // 0: nowhere
    streams: u64,
    sessions: Vec<(NodeId, Weak<()>)>,
}

/// The chain, and who has a stream of it.
#[derive(Clone)]
pub struct Chain(Arc<Mutex<Inner>>);

fn fill(what: u64, height: u64, salt: u64) -> FixedHash {
    let mut b = [0u8; 32];
    b[..8].copy_from_slice(&what.to_le_bytes());
    b[8..16].copy_from_slice(&height.to_le_bytes());
    b[16..24].copy_from_slice(&salt.to_le_bytes());
    FixedHash::from(b)
}

fn block(prev: Option<&BlockHeader>, height: u64, salt: u64) -> BlockHeader {
    let algorithms = [PowAlgorithm::RandomXM, PowAlgorithm::Sha3x, PowAlgorithm::RandomXT, PowAlgorithm::Cuckaroo];
    let mut h = BlockHeader::new((height % 3) as u16);
    h.height = height;
    h.prev_hash = prev.map(|p| p.hash()).unwrap_or_default();
    h.timestamp = (1_750_000_000 + 120 * height).into();
    h.output_mr = fill(1, height, salt);
    h.block_output_mr = fill(2, height, salt);
    h.kernel_mr = fill(3, height, salt);
    h.input_mr = fill(4, height, salt);
    h.validator_node_mr = fill(5, height, salt);
    h.total_kernel_offset = scalar(6 + height);
    h.total_script_offset = scalar(7 + 2 * height);
    h.kernel_mmr_size = 3 * height;
    h.output_smt_size = 5 * height;
    h.validator_node_size = height % 7;
    h.nonce = height.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt;
    h.pow = ProofOfWork {
        pow_algo: algorithms[(height % 4) as usize],
        pow_data: PowData::try_from(vec![height as u8; (height % 200) as usize]).expect("short enough"),
    };
    h
}

/// A small number, as a scalar: any is one.
fn scalar(n: u64) -> PrivateKey {
    let mut b = [0u8; 64];
    b[..8].copy_from_slice(&n.to_le_bytes());
    PrivateKey::from_uniform_bytes(&b).expect("64 bytes")
}

fn header_message(h: &BlockHeader) -> proto::BlockHeader {
    proto::BlockHeader {
        version: u32::from(h.version),
        height: h.height,
        prev_hash: h.prev_hash.to_vec(),
        timestamp: h.timestamp.as_u64(),
        output_mr: h.output_mr.to_vec(),
        block_output_mr: h.block_output_mr.to_vec(),
        kernel_mr: h.kernel_mr.to_vec(),
        input_mr: h.input_mr.to_vec(),
        total_kernel_offset: h.total_kernel_offset.to_vec(),
        nonce: h.nonce,
        pow: Some(proto::ProofOfWork { pow_algo: h.pow.pow_algo as u64, pow_data: h.pow.pow_data.to_vec() }),
        kernel_mmr_size: h.kernel_mmr_size,
        output_mmr_size: h.output_smt_size,
        total_script_offset: h.total_script_offset.to_vec(),
        validator_node_merkle_root: h.validator_node_mr.to_vec(),
        validator_node_size: h.validator_node_size,
    }
}

/// A body with one of each, every field filled that a node fills.
fn body(height: u64) -> proto::AggregateBody {
    let bytes = |what: u64| fill(what, height, 0).to_vec();
    let signature = |what: u64| proto::ComAndPubSignature {
        ephemeral_commitment: bytes(what),
        ephemeral_pubkey: bytes(what + 1),
        u_a: bytes(what + 2),
        u_x: bytes(what + 3),
        u_y: bytes(what + 4),
    };
    proto::AggregateBody {
        inputs: vec![proto::TransactionInput {
            input_data: vec![height as u8; 5],
            script_signature: Some(signature(100)),
            output_hash: bytes(110),
        }],
        outputs: vec![proto::TransactionOutput {
            features: Some(proto::OutputFeatures {
                version: 1,
                output_type: 1,
                maturity: height + 720,
                coinbase_extra: b"extra".to_vec(),
                sidechain_feature: Some(proto::SideChainFeature {
                    confidential_output: Some(proto::ConfidentialOutputData { claim_public_key: bytes(120) }),
                }),
                range_proof_type: 1,
            }),
            commitment: Some(proto::Commitment { data: bytes(121) }),
            range_proof: Some(proto::RangeProof { proof_bytes: vec![7; 576] }),
            script: vec![0x73],
            sender_offset_public_key: bytes(122),
            metadata_signature: Some(signature(130)),
            covenant: vec![1, 2],
            version: 2,
            encrypted_data: vec![9; 80],
            minimum_value_promise: 3 * height,
        }],
        kernels: vec![proto::TransactionKernel {
            features: 1,
            fee: height,
            lock_height: height + 1,
            excess: Some(proto::Commitment { data: bytes(140) }),
            excess_sig: Some(proto::Signature { public_nonce: bytes(141), signature: bytes(142) }),
            version: 1,
            burn_commitment: Some(proto::Commitment { data: bytes(143) }),
        }],
    }
}

impl Inner {
    fn grow(&mut self, length: u64, fork_at: u64, salt: u64) {
        self.blocks.clear();
        self.hashes.clear();
        for height in 0..=length {
            let next = block(self.blocks.last(), height, if height > fork_at { salt } else { 0 });
            self.hashes.push(next.hash());
            self.blocks.push(next);
        }
    }

    fn tip(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    fn find(&self, hash: &[u8]) -> Option<u64> {
        self.hashes.iter().position(|h| h.as_slice() == hash).map(|i| i as u64)
    }

    fn metadata(&self) -> ChainMetadata {
        let mut low = vec![0u8; 32];
        low[24..].copy_from_slice(&self.difficulty.to_be_bytes());
        ChainMetadata {
            best_block_height: self.tip(),
            best_block_hash: self.hashes[self.tip() as usize].to_vec(),
            accumulated_difficulty_low: low,
            accumulated_difficulty_high: vec![0u8; 32],
            pruned_height: 0,
            timestamp: self.blocks[self.tip() as usize].timestamp.as_u64(),
        }
    }

    /// The header at a height, or what the lie makes of it.
    fn header(&self, height: u64) -> Option<proto::BlockHeader> {
        let mut m = header_message(self.blocks.get(height as usize)?);
        if height == self.at {
            match self.lie.as_str() {
                "unlinked" => m.prev_hash = fill(99, 0, 0).to_vec(),
                "height" => m.height += 1,
                "other" => m.nonce += 1,
                "malformed" => drop(m.prev_hash.pop()),
                _ => {},
            }
        }
        Some(m)
    }
}

impl Chain {
    pub fn new() -> Self {
        // Hashes depend on the network.
        let _ = Network::set_current(Network::MainNet);
        let mut inner = Inner {
            blocks: vec![],
            hashes: vec![],
            difficulty: 1000,
            synced: true,
            lie: String::new(),
            at: 0,
            pause_at: 0,
            streams: 0,
            sessions: vec![],
        };
        inner.grow(0, 0, 0);
        Self(Arc::new(Mutex::new(inner)))
    }

    pub fn command(&self, command: &Value) -> Result<Value, AnyError> {
        let mut inner = self.0.lock().expect("nobody panics with it");
        match command["cmd"].as_str().unwrap_or_default() {
            "chain" => {
                inner.grow(number(command, "length"), number(command, "fork_at"), number(command, "salt"));
                inner.difficulty = number(command, "difficulty");
                inner.synced = command["synced"].as_bool().unwrap_or(true);
                (inner.lie, inner.pause_at) = (String::new(), 0);
                let hashes: Vec<_> = inner.hashes.iter().map(|h| h.to_hex()).collect();
                Ok(json!({"ok": true, "hashes": hashes}))
            },
            "chain_lie" => {
                inner.lie = command["lie"].as_str().unwrap_or_default().to_string();
                inner.at = number(command, "at");
                Ok(json!({"ok": true}))
            },
            "chain_pause" => {
                inner.pause_at = number(command, "at");
                Ok(json!({"ok": true}))
            },
            "chain_served" => {
                let running = inner.sessions.iter().filter(|(_, s)| s.strong_count() > 0).count();
                Ok(json!({"ok": true, "streams": inner.streams, "running": running}))
            },
            other => Err(format!("unknown command {other}").into()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics with it")
    }

    /// One stream at a time for each peer, as in tari_core.
    fn session(&self, peer: &NodeId) -> Result<Arc<()>, RpcStatus> {
        let mut inner = self.lock();
        inner.sessions.retain(|(_, s)| s.strong_count() > 0);
        if inner.sessions.iter().any(|(p, _)| p == peer) {
            return Err(RpcStatus::forbidden("existing sync session"));
        }
        let token = Arc::new(());
        inner.sessions.push((peer.clone(), Arc::downgrade(&token)));
        inner.streams += 1;
        Ok(token)
    }

    /// Sends what make says of each height, until it says nothing.
    fn stream<T: Send + 'static>(
        &self,
        token: Arc<()>,
        from: u64,
        to: u64,
        make: impl Fn(&Inner, u64) -> Option<Result<T, RpcStatus>> + Send + 'static,
    ) -> Streaming<T> {
        let (tx, rx) = mpsc::channel(10);
        let chain = self.clone();
        tokio::spawn(async move {
            let _token = token;
            for height in from..=to {
                while matches!(chain.lock().pause_at, at @ 1.. if height >= at) {
                    if tx.is_closed() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let item = make(&chain.lock(), height);
                let Some(item) = item else { return };
                let failed = item.is_err();
                if tx.send(item).await.is_err() || failed {
                    return;
                }
            }
        });
        Streaming::new(rx)
    }
}

fn malformed() -> RpcStatus {
    RpcStatus::bad_request("Malformed hash received")
}

#[tari_comms::async_trait]
impl BaseNodeSync for Chain {
    async fn sync_blocks(&self, request: Request<SyncBlocksRequest>) -> Result<Streaming<BlockBodyResponse>, RpcStatus> {
        let peer = request.context().peer_node_id().clone();
        let message = request.into_message();
        if message.start_hash.len() != 32 || message.end_hash.len() != 32 {
            return Err(malformed());
        }
        let (start, end, surplus) = {
            let inner = self.lock();
            let start = inner.find(&message.start_hash).ok_or(RpcStatus::not_found("Requested start block sync hash was not found"))?;
            let end = inner.find(&message.end_hash).ok_or(RpcStatus::not_found("Requested end block sync hash was not found"))?;
            (start, end, inner.lie == "body surplus")
        };
        if start + 1 > end {
            return Err(RpcStatus::bad_request("Start block is higher than end block"));
        }
        let last = if surplus { end + 1 } else { end };
        Ok(self.stream(self.session(&peer)?, start + 1, last, move |inner, height| {
            if inner.find(&message.end_hash) != Some(end) {
                return Some(Err(RpcStatus::conflict("Reorg detected")));
            }
            if inner.lie == "body short" && height == inner.at {
                return None;
            }
            let mut hash = inner.hashes.get(height as usize).copied().unwrap_or_default().to_vec();
            if inner.lie == "body other" && height == inner.at {
                hash[0] ^= 1;
            }
            Some(Ok(BlockBodyResponse { hash, body: Some(body(height)) }))
        }))
    }

    async fn sync_headers(&self, request: Request<SyncHeadersRequest>) -> Result<Streaming<proto::BlockHeader>, RpcStatus> {
        let peer = request.context().peer_node_id().clone();
        let message = request.into_message();
        if message.start_hash.len() != 32 {
            return Err(malformed());
        }
        let (start, tip, surplus) = {
            let inner = self.lock();
            let start = inner.find(&message.start_hash).ok_or(RpcStatus::not_found("Header not found with given hash"))?;
            (start, inner.tip(), inner.lie == "surplus")
        };
        let mut end = if message.count == 0 { tip } else { tip.min(start + message.count) };
        if surplus {
            end = tip.min(end + 1);
        }
        if start == end {
            return Ok(Streaming::empty());
        }
        Ok(self.stream(self.session(&peer)?, start + 1, end, |inner, height| inner.header(height).map(Ok)))
    }

    async fn get_header_by_height(&self, request: Request<u64>) -> Result<Response<proto::BlockHeader>, RpcStatus> {
        let height = request.into_message();
        self.lock()
            .header(height)
            .map(Response::new)
            .ok_or_else(|| RpcStatus::not_found(&format!("Header not found at height {height}")))
    }

    async fn find_chain_split(&self, request: Request<FindChainSplitRequest>) -> Result<Response<FindChainSplitResponse>, RpcStatus> {
        let message = request.into_message();
        if message.block_hashes.is_empty() || message.block_hashes.len() > 1000 || message.header_count > 1000 {
            return Err(RpcStatus::bad_request("Cannot query so many"));
        }
        let inner = self.lock();
        for (i, hash) in message.block_hashes.iter().enumerate() {
            if let Some(height) = inner.find(hash) {
                let surplus = u64::from(inner.lie == "surplus");
                let headers = (height + 1..=height + message.header_count + surplus).map_while(|h| inner.header(h)).collect();
                let index = if inner.lie == "index" { message.block_hashes.len() } else { i };
                return Ok(Response::new(FindChainSplitResponse { headers, fork_hash_index: index as u64 }));
            }
        }
        Err(RpcStatus::not_found("No link found to main chain"))
    }

    async fn get_chain_metadata(&self, _: Request<()>) -> Result<Response<ChainMetadata>, RpcStatus> {
        Ok(Response::new(self.lock().metadata()))
    }
}

#[tari_comms::async_trait]
impl BaseNodeWallet for Chain {
    async fn get_tip_info(&self, _: Request<()>) -> Result<Response<TipInfoResponse>, RpcStatus> {
        let inner = self.lock();
        Ok(Response::new(TipInfoResponse { metadata: Some(inner.metadata()), is_synced: inner.synced }))
    }
}

#[tari_comms::async_trait]
impl Mempool for Chain {
    async fn get_stats(&self, _: Request<()>) -> Result<Response<StatsResponse>, RpcStatus> {
        Ok(Response::new(StatsResponse { unconfirmed_txs: 17, reorg_txs: 3, unconfirmed_weight: 4711 }))
    }
}
