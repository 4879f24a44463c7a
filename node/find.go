package node

import (
	"context"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

// FindPeers looks for up to limit peers whose public key or node id, in hexadecimal, begins with prefix, and leaves the data folder dir
// as it is: it asks the node that runs there, or else reads what the book was when it was last closed, with no lock taken and no folder
// made. It is for who types, and may miss what a running command has just written.
func FindPeers(ctx context.Context, dir, prefix string, limit int) (PeerList, error) {
	prefix = strings.ToLower(prefix)
	if c := dialControl(ctx, dir); c != nil {
		defer c.http.CloseIdleConnections()
		return call[PeerList](ctx, c, http.MethodGet, "/v1/peers", url.Values{"prefix": {prefix}, "limit": {strconv.Itoa(limit)}}, nil)
	}
	found, err := peerbook.Saved(ctx, filepath.Join(dir, peersName), prefix, limit)
	list := PeerList{Peers: []PeerInfo{}}
	for _, r := range found {
		list.Peers = append(list.Peers, infoOf(r))
	}
	slices.SortFunc(list.Peers, func(a, b PeerInfo) int { return strings.Compare(a.PublicKey, b.PublicKey) })
	return list, err
}
