package main

import (
	"sync/atomic"

	"github.com/tari-libp2p/tari-libp2p/messagingproto"
)

// window lets one goroutine have as much under way with messagingproto as the batcher of the other stacks lets wait. What is sent
// between two calls of wait is of one size.
type window struct {
	most  atomic.Int64 // messages
	under atomic.Int64
	room  chan struct{} // told when half of them have left, and when all have
	err   atomic.Pointer[error]
}

func newWindow() *window { return &window{room: make(chan struct{}, 1)} }

func (w *window) enter(size int) {
	most := int64(max(1, maxPending/max(1, size)))
	if w.most.Load() != most {
		w.most.Store(most)
	}
	for w.under.Load() >= most {
		<-w.room
	}
	w.under.Add(1)
}

func (w *window) leave(res messagingproto.Result) {
	if res.Err != nil {
		w.err.Store(&res.Err)
	}
	if left := w.under.Add(-1); left == w.most.Load()/2 || left == 0 {
		select {
		case w.room <- struct{}{}:
		default:
		}
	}
}

// wait returns when nothing is under way, with an error if there was one.
func (w *window) wait() error {
	for w.under.Load() > 0 {
		<-w.room
	}
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
}
