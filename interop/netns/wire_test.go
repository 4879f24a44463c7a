//go:build interop && linux

package netns

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A wire joins two namespaces, packet by packet, so that the kernel's own TCP at both ends has the delay and the loss to deal with. It is ours,
// for many kernels come without netem, the traffic control that does this. Each wire has lanes, which do not disturb each other: lane n is the
// network 10.7.n.0/24, with 10.7.n.1 near and 10.7.n.2 far.

// lane is what becomes of packets in a lane, in each direction.
type lane struct {
	delay   time.Duration
	loss    float64 // of 1
	reorder float64 // of 1: packets that are not delayed, as netem does it
	rate    int     // bit/s; 0 is without limit
}

func nearIP(n int) string { return fmt.Sprintf("10.7.%d.1", n) }
func farIP(n int) string  { return fmt.Sprintf("10.7.%d.2", n) }

// waiting is how many packets a lane holds in each direction; any more are lost.
const waiting = 4096

// tun makes an interface in the namespace of this thread that has an address in each lane, and whose packets are the file's.
func tun(name string, lanes int, ip func(n int) string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return nil, fmt.Errorf("making the interface %s: %w", name, err)
	}
	var batch strings.Builder
	for n := range lanes {
		fmt.Fprintf(&batch, "addr add %s/24 dev %s\n", ip(n), name)
	}
	fmt.Fprintf(&batch, "link set %s txqueuelen %d up\n", name, waiting)
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(batch.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ip: %w: %s", err, out)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// layWire makes a far namespace and a wire to it, and calls there with a thread in the far namespace: what it listens on and which processes it
// starts are there.
func layWire(t *testing.T, lanes []lane, there func() error) *tally {
	t.Helper()
	run(t, "ip link del outside") // the wire is the only way out
	near, err := tun("near", len(lanes), nearIP)
	if err != nil {
		t.Fatal(err)
	}
	var far *os.File
	count := new(tally)
	err = elsewhere(t, func(int) error {
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			return fmt.Errorf("ip: %w: %s", err, out)
		}
		var err error
		if far, err = tun("far", len(lanes), farIP); err != nil {
			return err
		}
		// The wire stands before anybody talks, and falls after all have ended.
		var both sync.WaitGroup
		both.Go(func() { carry(t, far, near, lanes, 16, count) }) // the lane is in the destination
		both.Go(func() { carry(t, near, far, lanes, 12, count) }) // in the source
		t.Cleanup(func() {
			near.Close()
			far.Close()
			both.Wait()
		})
		return there()
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// tally counts packets, in both directions.
type tally struct{ sent, lost atomic.Int64 }

// carry passes packets on until the interface they come from is closed. The far address is at the offset at of each.
func carry(t *testing.T, to, from *os.File, lanes []lane, at int, count *tally) {
	var out sync.WaitGroup
	var queues []chan packet
	for range lanes {
		q := make(chan packet, waiting)
		queues = append(queues, q)
		out.Go(func() {
			for p := range q {
				time.Sleep(time.Until(p.due))
				_, _ = to.Write(p.bytes) // an interface that is full or gone loses packets, as they do
			}
		})
	}
	free := make([]time.Time, len(lanes))          // when the last packet has been sent
	chance := rand.New(rand.NewPCG(1, uint64(at))) // the same each time, but for the order in which packets come
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) && !errors.Is(err, io.EOF) {
				t.Errorf("the wire broke: %v", err)
			}
			break
		}
		if n < 20 || buf[0]>>4 != 4 || int(buf[at+2]) >= len(lanes) { // IPv6 looks for its neighbours
			continue
		}
		i := int(buf[at+2])
		l := lanes[i]
		count.sent.Add(1)
		if chance.Float64() < l.loss || len(queues[i]) == cap(queues[i]) {
			count.lost.Add(1)
			continue
		}
		p := packet{bytes: append([]byte(nil), buf[:n]...), due: time.Now()}
		if l.rate > 0 {
			if free[i].After(p.due) {
				p.due = free[i]
			}
			p.due = p.due.Add(time.Duration(n) * 8 * time.Second / time.Duration(l.rate))
			free[i] = p.due
		}
		p.due = p.due.Add(l.delay)
		if l.reorder > 0 && chance.Float64() < l.reorder {
			_, _ = to.Write(p.bytes)
			continue
		}
		queues[i] <- p
	}
	for _, q := range queues {
		close(q)
	}
	out.Wait()
}

// packet leaves the wire when it is due.
type packet struct {
	bytes []byte
	due   time.Time
}
