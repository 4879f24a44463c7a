package transcript

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Recorder is a connection that notes what passes through it. Where both sides speak at once, the order of flows is the one seen here.
type Recorder struct {
	net.Conn
	us    Side
	mu    sync.Mutex
	flows []Flow
}

// Record notes what passes through c, which is the end of the side us.
func Record(c net.Conn, us Side) *Recorder { return &Recorder{Conn: c, us: us} }

// Read notes bytes of the other side.
func (r *Recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.note(r.us.other(), p[:n])
	return n, err
}

// Write notes bytes of our side before they are sent, so that an answer cannot come first.
func (r *Recorder) Write(p []byte) (int, error) {
	r.note(r.us, p)
	return r.Conn.Write(p)
}

// Flows returns what was noted so far.
func (r *Recorder) Flows() []Flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	flows := make([]Flow, len(r.flows))
	for i, flow := range r.flows {
		flows[i] = Flow{flow.From, bytes.Clone(flow.Bytes)}
	}
	return flows
}

func (r *Recorder) note(from Side, p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flows = join(r.flows, from, p)
}

func (s Side) other() Side {
	if s == Initiator {
		return Responder
	}
	return Initiator
}

// Replay is a connection whose other end speaks from a transcript. What is written has to be what our side wrote in it, byte for
// byte; each flow of the other side can be read once everything of ours before it is written. Writes never wait. After the last
// flow reads are io.EOF.
type Replay struct {
	mu       sync.Mutex
	change   *sync.Cond
	us       Side
	ours     []byte // all we are to write
	written  int    // how much of it we did
	theirs   []cue  // what is still to be read
	err      error  // the first difference, or net.ErrClosed
	deadline time.Time
	alarm    *time.Timer
}

// cue is a flow of the other side and how many bytes of ours come before it.
type cue struct {
	after int
	bytes []byte
}

// NewReplay plays flows against the side us.
func NewReplay(flows []Flow, us Side) *Replay {
	r := &Replay{us: us}
	r.change = sync.NewCond(&r.mu)
	for _, flow := range flows {
		if flow.From == us {
			r.ours = append(r.ours, flow.Bytes...)
		} else {
			r.theirs = append(r.theirs, cue{len(r.ours), flow.Bytes})
		}
	}
	return r
}

// Read returns the other side's bytes when it is their turn.
func (r *Replay) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case r.err != nil:
			return 0, r.err
		case r.late():
			return 0, os.ErrDeadlineExceeded
		case len(r.theirs) == 0 && r.written == len(r.ours):
			return 0, io.EOF
		case len(r.theirs) > 0 && r.theirs[0].after <= r.written:
			next := &r.theirs[0].bytes
			n := copy(p, *next)
			if *next = (*next)[n:]; len(*next) == 0 {
				r.theirs = r.theirs[1:]
			}
			return n, nil
		}
		r.change.Wait()
	}
}

// Write compares p with what our side said in the transcript.
func (r *Replay) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && !bytes.HasPrefix(r.ours[r.written:], p) {
		r.err = fmt.Errorf("transcript: at %d: wrote %x, want %x", r.written, p, r.ours[r.written:min(len(r.ours), r.written+len(p))])
		r.change.Broadcast()
	}
	if r.err != nil {
		return 0, r.err
	}
	if r.late() {
		return 0, os.ErrDeadlineExceeded
	}
	r.written += len(p)
	r.change.Broadcast()
	return len(p), nil
}

// Done returns an error unless all of the transcript was played, without a difference.
func (r *Replay) Done() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil && !errors.Is(r.err, net.ErrClosed):
		return r.err
	case r.written < len(r.ours):
		return fmt.Errorf("transcript: %d bytes not written", len(r.ours)-r.written)
	case len(r.theirs) > 0:
		return fmt.Errorf("transcript: %d flows not read", len(r.theirs))
	}
	return nil
}

// Close ends reads and writes with net.ErrClosed.
func (r *Replay) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = net.ErrClosed
	}
	if r.alarm != nil {
		r.alarm.Stop()
	}
	r.change.Broadcast()
	return nil
}

// late tells whether the deadline has passed.
func (r *Replay) late() bool { return !r.deadline.IsZero() && !time.Now().Before(r.deadline) }

// SetDeadline ends reads and writes that wait at t.
func (r *Replay) SetDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.alarm != nil {
		r.alarm.Stop()
	}
	r.deadline = t
	if !t.IsZero() {
		r.alarm = time.AfterFunc(time.Until(t), r.change.Broadcast)
	}
	r.change.Broadcast()
	return nil
}

// SetReadDeadline is SetDeadline: one deadline is enough for a transcript.
func (r *Replay) SetReadDeadline(t time.Time) error { return r.SetDeadline(t) }

// SetWriteDeadline is SetDeadline.
func (r *Replay) SetWriteDeadline(t time.Time) error { return r.SetDeadline(t) }

// LocalAddr returns a name for our end.
func (r *Replay) LocalAddr() net.Addr { return addr{r.us} }

// RemoteAddr returns a name for the other end.
func (r *Replay) RemoteAddr() net.Addr { return addr{r.us.other()} }

type addr struct{ side Side }

func (addr) Network() string  { return "transcript" }
func (a addr) String() string { return "transcript " + string(rune(a.side)) }
