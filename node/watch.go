package node

import (
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"
)

// Limits of watching, our choice.
const (
	maxWatchers   = 8                // at a time; controlConnections leaves room for commands beside them
	watchBuffer   = 1000             // events that wait for a watcher; then it misses some
	watchWrite    = 10 * time.Second // for a watcher to take what is sent
	watchPulse    = 30 * time.Second // between signs of life, which show that a watcher has gone
	maxWatchBytes = 1 << 20          // messages that wait for one watcher; then it gets them without their bytes
)

// watchers pass events on to whoever watches. The zero value is ready.
type watchers struct {
	mu     sync.Mutex
	all    map[*watcher]bool
	closed bool
}

// watcher is one that watches: a queue that never makes the node wait.
type watcher struct {
	mu     sync.Mutex
	queue  []Event
	bytes  int // of messages in the queue
	missed int
	closed bool
	wake   chan struct{}
}

var errTooManyWatchers = errors.New("node: too many are watching already")

func (w *watchers) add() (*watcher, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.all) == maxWatchers {
		return nil, fail(FailRefused, errTooManyWatchers)
	}
	one := &watcher{wake: make(chan struct{}, 1), closed: w.closed}
	if one.closed {
		one.notify()
		return one, nil
	}
	if w.all == nil {
		w.all = make(map[*watcher]bool)
	}
	w.all[one] = true
	return one, nil
}

func (w *watchers) remove(one *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, one)
}

// tell queues an event for all.
func (w *watchers) tell(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.all {
		one.put(e)
	}
}

// close lets all watchers end once they have what is queued.
func (w *watchers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for one := range w.all {
		one.mu.Lock()
		one.closed = true
		one.mu.Unlock()
		one.notify()
	}
}

func (o *watcher) notify() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *watcher) put(e Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == watchBuffer {
		o.missed++
		return
	}
	if e.Message != nil {
		if o.bytes+len(e.Message) > maxWatchBytes {
			e.Message = nil // Size still says how long it was
		} else {
			e.Message = append([]byte{}, e.Message...) // the event's is valid until OnEvent returns
			o.bytes += len(e.Message)
		}
	}
	o.queue = append(o.queue, e)
	o.notify()
}

// take empties the queue. over means that nothing more comes.
func (o *watcher) take() (events []Event, missed int, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	events, missed = o.queue, o.missed
	o.queue, o.bytes, o.missed = nil, 0, 0
	return events, missed, o.closed
}

// serveEvents answers with the node's events from now on, an object a line, until the client or the node ends. An empty line
// now and then says that both are there.
func (n *Node) serveEvents(w http.ResponseWriter, r *http.Request) {
	one, err := n.watchers.add()
	if err != nil {
		failure := FailureOf(err)
		w.WriteHeader(failure.Kind.httpStatus())
		_ = json.NewEncoder(w).Encode(failure)
		return
	}
	defer n.watchers.remove(one)
	send := http.NewResponseController(w)
	out := json.NewEncoder(w)
	pulse := time.NewTicker(watchPulse)
	defer pulse.Stop()
	for {
		if send.SetWriteDeadline(time.Now().Add(watchWrite)) != nil || send.SetReadDeadline(time.Time{}) != nil {
			return
		}
		events, missed, over := one.take()
		for _, e := range events {
			if out.Encode(e) != nil {
				return
			}
		}
		if missed > 0 && out.Encode(Event{Time: time.Now().UTC(), Kind: EventMissed, Missed: missed}) != nil {
			return
		}
		if send.Flush() != nil || over {
			return
		}
		select {
		case <-one.wake:
		case <-pulse.C:
			if _, err := w.Write([]byte("\n")); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
