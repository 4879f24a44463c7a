package basenode

import (
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tari-libp2p/tari-libp2p/basenode/basenodepb"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// The services of a base node.
const (
	SyncService    protocol.ID = "t/blksync/1"
	WalletService  protocol.ID = "t/bnwallet/1"
	MempoolService protocol.ID = "t/mempool/1"
)

// Methods of SyncService. Of SyncBlocks and SyncHeaders a peer has one at a time
// for each of its clients. The budgets are those of tari_core 6.
var (
	SyncBlocks = rpc.Streaming[*basenodepb.SyncBlocksRequest, *basenodepb.BlockBodyResponse]{
		Number: 1, Budget: rpc.Budget{Response: 262_144}, Repeatable: true,
	}
	SyncHeaders = rpc.Streaming[*basenodepb.SyncHeadersRequest, *basenodepb.BlockHeader]{
		Number: 2, Budget: rpc.Budget{Response: 65_536}, Repeatable: true,
	}
	GetHeaderByHeight = rpc.Unary[*wrapperspb.UInt64Value, *basenodepb.BlockHeader]{Number: 3, Repeatable: true}
	FindChainSplit    = rpc.Unary[*basenodepb.FindChainSplitRequest, *basenodepb.FindChainSplitResponse]{
		Number: 4, Budget: rpc.Budget{Request: 2_048, Response: 65_536}, Repeatable: true,
	}
	GetChainMetadata = rpc.Unary[*emptypb.Empty, *basenodepb.ChainMetadata]{Number: 5, Repeatable: true}
)

// GetTipInfo is a method of WalletService.
var GetTipInfo = rpc.Unary[*emptypb.Empty, *basenodepb.TipInfoResponse]{Number: 5, Repeatable: true}

// GetMempoolStats is a method of MempoolService.
var GetMempoolStats = rpc.Unary[*emptypb.Empty, *basenodepb.StatsResponse]{Number: 1, Repeatable: true}
