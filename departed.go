package tari

import (
	"container/list"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
)

// maxDeparted is of how many peers that left the peerstore still has the claim (our choice): who went by accident, as all do when the
// link goes down, can be dialed again without a peer book. Strangers that come and go cost no more than that, however many they are.
const maxDeparted = 512

// departed are the peers that left and have not come back.
type departed struct {
	peers peerstore.Peerstore

	mu    sync.Mutex
	order list.List // of peer.ID; who left last is at the back
	place map[peer.ID]*list.Element
}

func newDeparted(peers peerstore.Peerstore) *departed {
	return &departed{peers: peers, place: make(map[peer.ID]*list.Element)}
}

// left keeps a peer's addresses for as long as go-libp2p does, and forgets who left before the last maxDeparted.
func (d *departed) left(p peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.peers.UpdateAddrs(p, peerstore.ConnectedAddrTTL, peerstore.RecentlyConnectedAddrTTL)
	d.remove(p)
	d.place[p] = d.order.PushBack(p)
	if d.order.Len() > maxDeparted {
		oldest := d.order.Front().Value.(peer.ID)
		d.remove(oldest)
		d.peers.UpdateAddrs(oldest, peerstore.RecentlyConnectedAddrTTL, 0) // not those that our user added for longer
		d.peers.RemovePeer(oldest)
	}
}

// cameBack is called before anything is learned of a peer, so that nothing of that is forgotten.
func (d *departed) cameBack(p peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.remove(p)
}

func (d *departed) remove(p peer.ID) {
	if e := d.place[p]; e != nil {
		d.order.Remove(e)
		delete(d.place, p)
	}
}
