package wiremode

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
	"unicode/utf8"
)

// Liveness is how long, and for whom, Serve echoes. Take ModernLiveness or
// SeedLiveness and set Gate.
type Liveness struct {
	MaxLine     int           // bytes of a line without its LF; 0 means 80
	FirstLine   time.Duration // from the first byte to the first line; 0: Idle
	Idle        time.Duration // between two lines; 0: unlimited
	Lifetime    time.Duration // of the whole session; 0: unlimited
	AdmitSilent bool          // ask Gate before the first line, not with it
	Gate        *Gate         // who may; nil: the caller has decided, everybody may
}

// ModernLiveness has tari_comms' limits.
func ModernLiveness() Liveness {
	return Liveness{MaxLine: 80, FirstLine: 5 * time.Second, Idle: 30 * time.Second, Lifetime: 5 * time.Minute}
}

// SeedLiveness has the line length of tari_comms 0.8, which admits before it
// reads. It knows no time limits; the five minutes of silence are ours, so
// that a forgotten probe does not hold its session for ever.
func SeedLiveness() Liveness {
	return Liveness{MaxLine: 50, Idle: 5 * time.Minute, AdmitSilent: true}
}

const defaultMaxLine = 80

// selfFirstLine is the modern time for a first line, for those that a seed node would not have waited for.
const selfFirstLine = 5 * time.Second

var (
	// ErrRefused: the Gate admits no such session. Nothing was sent.
	ErrRefused = errors.New("wiremode: liveness session refused")
	// ErrBadLine: a line is too long or not UTF-8.
	ErrBadLine = errors.New("wiremode: liveness line too long or not text")
	// ErrNoEcho: the remote closed the session instead of answering, as it does
	// to those it does not admit.
	ErrNoEcho = errors.New("wiremode: liveness probe closed without an answer")
	// ErrWrongEcho: the remote answered something else.
	ErrWrongEcho = errors.New("wiremode: liveness probe got another line back")
)

// Serve echoes lines until the remote closes, a limit passes or ctx ends, and
// closes conn, which has given its first byte already. A line ends in LF, a CR
// before it is dropped, and the last line may go without. nil means that the
// remote closed in good order.
func Serve(ctx context.Context, conn net.Conn, l Liveness) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	err := l.serve(conn)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (l Liveness) serve(conn net.Conn) error {
	if l.MaxLine <= 0 {
		l.MaxLine = defaultMaxLine
	}
	if l.FirstLine <= 0 {
		l.FirstLine = l.Idle
	}
	end := after(l.Lifetime)
	admitted := l.Gate == nil
	if l.AdmitSilent && !admitted && l.Gate.expects() {
		// The first line may be the token that we wait for. It comes at once, or it is a stranger who waits.
		l.FirstLine = selfFirstLine
	} else if l.AdmitSilent && !admitted {
		release, ok := l.Gate.Admit(conn.RemoteAddr(), "")
		if !ok {
			return ErrRefused
		}
		defer release()
		admitted = true
	}

	lines := bufio.NewReaderSize(conn, l.MaxLine+1)
	for wait := l.FirstLine; ; wait = l.Idle {
		_ = conn.SetDeadline(earlier(after(wait), end)) // fails on a closed conn only, and so does the read
		line, err := readLine(lines, l.MaxLine)
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if !admitted {
			release, ok := l.Gate.Admit(conn.RemoteAddr(), string(line))
			if !ok {
				return ErrRefused
			}
			defer release()
			admitted = true
		}
		if _, err := conn.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("wiremode: liveness: %w", err)
		}
	}
}

// readLine returns a line of at most limit bytes without its ending, with room
// for one byte more. io.EOF means that there was no further line.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case err == io.EOF && len(line) > 0: // the last line may go without its LF
	case err == io.EOF:
		return nil, io.EOF
	case err == bufio.ErrBufferFull:
		return nil, ErrBadLine
	case err != nil:
		return nil, fmt.Errorf("wiremode: liveness: %w", err)
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	if len(line) > limit || !utf8.Valid(line) {
		return nil, ErrBadLine
	}
	return bytes.Clone(bytes.TrimSuffix(line, []byte("\r"))), nil
}

// after is the moment d from now; none if d is zero.
func after(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// earlier of two moments, where zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// probeTimeout is tari_comms' for one echo, if ctx has no deadline.
const probeTimeout = 10 * time.Second

// Probe sends the first byte and a line on a fresh connection, and waits for
// the line to come back: until ctx ends, or for 10 s if ctx has no deadline.
// Afterwards Echo sends further lines. The caller keeps conn and closes it.
func Probe(ctx context.Context, conn net.Conn, first byte, line string) error {
	return echo(ctx, conn, append([]byte{first}, line...), line)
}

// Echo sends a further line on a connection that Probe has opened.
func Echo(ctx context.Context, conn net.Conn, line string) error {
	return echo(ctx, conn, []byte(line), line)
}

func echo(ctx context.Context, conn net.Conn, message []byte, line string) (err error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(probeTimeout)
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return fmt.Errorf("wiremode: liveness probe: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() {
			err = ctx.Err() // the deadline is spoiled: this connection is done
		} else if err == nil {
			err = conn.SetDeadline(time.Time{})
		}
	}()

	if _, err := conn.Write(append(message, '\n')); err != nil {
		return probeError(err)
	}
	answer := make([]byte, len(line)+1)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return probeError(err)
	}
	if string(answer) != line+"\n" {
		return ErrWrongEcho
	}
	return nil
}

func probeError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("wiremode: liveness probe: %w", err)
	}
	return fmt.Errorf("%w (%w)", ErrNoEcho, err)
}
