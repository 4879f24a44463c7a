//go:build linux

package loadtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
)

// jobEnv makes a process of this test binary one of strangers, with a job.
const jobEnv = "TARI_LIBP2P_LOADTEST_JOB"

// A job is what a process of strangers does: one of the roles, until it is told "end" or its standard input ends.
type job struct {
	Role    string
	Network string
	Address string // of the host, as PUBKEY::ADDR
	Net     byte   // the sources are 127.Net.0.1 and those after it
	Sources int
	Count   int    // of connections
	Kind    string // of the role
	Pause   int    // milliseconds after each connection of a flood or an honest dialer
}

// report is what a process of strangers says of its work.
type report struct {
	Event   string
	Figures map[string]float64
}

var roles = map[string]func(*worker) error{"hold": hold, "stall": stall, "flood": flood, "honest": honest, "pin": pin, "node": node}

// worker is the inside of a process of strangers.
type worker struct {
	job
	network  dialect.Network
	host     string // IP address and port
	commands *bufio.Scanner
}

func work(text string) int {
	w := &worker{commands: bufio.NewScanner(os.Stdin)}
	err := json.Unmarshal([]byte(text), &w.job)
	if err == nil {
		w.network, err = dialect.NetworkByName(w.Network)
	}
	if err == nil && w.Address != "" {
		var at tari.Address
		if at, err = tari.ParseAddress(w.Address); err == nil {
			w.host = hostPort(at.Addrs[0])
		}
	}
	if err == nil {
		err = roles[w.Role](w)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", w.Role, err)
		return 1
	}
	return 0
}

// say reports an event with figures: a name, a number, a name, a number.
func (w *worker) say(event string, figures ...any) {
	r := report{Event: event, Figures: map[string]float64{}}
	for i := 0; i+1 < len(figures); i += 2 {
		switch v := figures[i+1].(type) {
		case int:
			r.Figures[figures[i].(string)] = float64(v)
		case int64:
			r.Figures[figures[i].(string)] = float64(v)
		case float64:
			r.Figures[figures[i].(string)] = v
		default:
			panic(fmt.Sprintf("%T is no figure", v))
		}
	}
	_ = json.NewEncoder(os.Stdout).Encode(r)
}

// hear returns the next command, "end" when there are no more.
func (w *worker) hear() string {
	if w.commands.Scan() {
		return w.commands.Text()
	}
	return "end"
}

// source is the i-th address that connections come from.
func (w *worker) source(i int) netip.Addr {
	i = i%max(w.Sources, 1) + 1
	return netip.AddrFrom4([4]byte{127, w.Net, byte(i / 250), byte(i%250 + 1)})
}

// child is a process of strangers, seen by the test.
type child struct {
	t       *testing.T
	role    string
	in      io.WriteCloser
	reports *json.Decoder
	cmd     *exec.Cmd
	ended   bool
}

func spawn(t *testing.T, h *tari.Host, j job) *child {
	t.Helper()
	if h != nil {
		j.Address = addressOf(h)
	}
	if j.Network == "" {
		j.Network = dialect.Esmeralda.Name
	}
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), jobEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, role: j.Role, in: in, reports: json.NewDecoder(out), cmd: cmd}
	t.Cleanup(c.end)
	return c
}

// tell gives a command.
func (c *child) tell(command string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, command+"\n"); err != nil {
		c.t.Fatalf("%s: %v", c.role, err)
	}
}

// expect waits for an event and returns its figures.
func (c *child) expect(event string) map[string]float64 {
	c.t.Helper()
	var r report
	if err := c.reports.Decode(&r); err != nil {
		c.t.Fatalf("%s ended before %q: %v", c.role, event, err)
	}
	if r.Event != event {
		c.t.Fatalf("%s says %q %v, not %q", c.role, r.Event, r.Figures, event)
	}
	return r.Figures
}

// ask is a command and the event that answers it.
func (c *child) ask(command, event string) map[string]float64 {
	c.t.Helper()
	c.tell(command)
	return c.expect(event)
}

// end ends the process, after it closed what it had, and fails the test if it complained.
func (c *child) end() {
	if c.ended {
		return
	}
	c.ended = true
	c.in.Close()
	_, _ = io.Copy(io.Discard, c.reports.Buffered())
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("%s: %v", c.role, err)
	}
}

func addressOf(h *tari.Host) string { return fmt.Sprintf("%s::%s", h.PublicKey(), h.Addrs()[0]) }

// counted makes every source count, loopback as well.
func counted(l tari.Limits) tari.Limits {
	l.Exempt = []netip.Prefix{}
	return l
}

func hostPort(a ma.Multiaddr) string {
	ip, _ := a.ValueForProtocol(ma.P_IP4)
	port, _ := a.ValueForProtocol(ma.P_TCP)
	return ip + ":" + port
}
