package rpc

import (
	"sync"
	"time"
)

// idle ends a session that is without a call for ServerConfig.Idle. Its timer
// is left alone by calls, and looks when it fires how long the last one is ago.
type idle struct {
	mu    sync.Mutex
	timer *time.Timer
	since time.Time // the end of the last call, zero while one runs
}

func (i *idle) begin(x *session) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.since = time.Now()
	i.timer = time.AfterFunc(x.server.cfg.Idle, func() { i.fired(x) })
}

func (i *idle) fired(x *session) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if x.ctx.Err() != nil {
		return
	}
	left := x.server.cfg.Idle
	if !i.since.IsZero() {
		left -= time.Since(i.since)
	}
	if left <= 0 {
		x.cancel(errIdle)
		return
	}
	i.timer.Reset(left)
}

// busy says whether a call runs.
func (i *idle) busy(with bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.since = time.Time{}
	if !with {
		i.since = time.Now()
	}
}

// end is after the last call: the session has ended.
func (i *idle) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.timer.Stop()
}
