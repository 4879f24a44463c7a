package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

// Verdict is what a check found.
type Verdict string

// The verdicts. Only a failure is in the way of a node.
const (
	CheckOK   Verdict = "ok"
	CheckWarn Verdict = "warn"
	CheckFail Verdict = "fail"
)

// Check is one thing that a node needs, or that its operator should know.
type Check struct {
	Name    string  `json:"check"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	Cure    string  `json:"cure,omitempty"`
}

// Diagnosis is what Diagnose found; OK if nothing failed.
type Diagnosis struct {
	OK     bool    `json:"ok"`
	Checks []Check `json:"checks"`
}

// What Diagnose thinks too little, or too far off; our choice.
const (
	littleSpace = 1 << 30   // bytes free: a warning
	noSpace     = 100 << 20 // a failure
	spareFiles  = 100       // descriptors beside those of connections
	clockSlack  = 10 * time.Minute
)

// Diagnose looks at what a node of cfg needs on this machine: clock, data folder, identity, peer book, ports, descriptors,
// disk, name servers, Tor or the proxy if cfg wants it, and, if the node runs, how it is connected and whether it is reached. It
// asks nobody else, changes nothing, and never waits longer than ctx.
func Diagnose(ctx context.Context, cfg Config) Diagnosis {
	d := &doctor{cfg: cfg}
	d.ask(ctx)
	d.clock()
	usable := d.folder()
	if usable {
		d.identity()
	}
	d.disk()
	if usable {
		d.book()
	}
	d.files()
	for _, addr := range cfg.Listen {
		d.port(addr)
	}
	d.names()
	switch {
	case cfg.Tor.Service:
		d.tor(ctx)
	case cfg.Tor.SOCKS != "":
		d.proxy(ctx)
	}
	d.running()
	out := Diagnosis{OK: true, Checks: d.checks}
	for _, c := range d.checks {
		out.OK = out.OK && c.Verdict != CheckFail
	}
	return out
}

type doctor struct {
	cfg    Config
	status *Status        // of the running node, or nil
	peers  *peerbook.Book // else, open, or nil
	failed error          // else, why
	checks []Check
}

// ask gets the status of a node that runs in the folder, or else opens the peer book, if there is one.
func (d *doctor) ask(ctx context.Context) {
	dir := filepath.Join(d.cfg.DataDir, peersName)
	var client *Client
	client, d.peers, d.failed = dialOrOpen(ctx, d.cfg.DataDir, func() (*peerbook.Book, error) {
		if _, err := os.Stat(dir); err != nil {
			return nil, err
		}
		return peerbook.Open(dir, peerbook.Config{})
	})
	if client == nil {
		return
	}
	defer client.Close()
	s, err := client.Status(ctx)
	if err != nil || !s.Running {
		d.failed = &peerbook.LockedError{Dir: dir}
		return
	}
	d.status = &s
}

func (d *doctor) say(name string, v Verdict, cure, detail string, args ...any) {
	d.checks = append(d.checks, Check{Name: name, Verdict: v, Cure: cure, Detail: fmt.Sprintf(detail, args...)})
}

func (d *doctor) clock() {
	now := time.Now()
	if now.Before(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		d.say("clock", CheckFail, "set the clock; peers refuse identities that are signed in their future, and so do we", "%s is in the past", now.Format(time.RFC3339))
		return
	}
	d.say("clock", CheckOK, "", "%s", now.Format(time.RFC3339))
}

// folder looks at the data folder; usable is whether there is any sense in looking into it.
func (d *doctor) folder() (usable bool) {
	const choose = "choose another with --data-dir"
	dir := d.cfg.DataDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.say("data folder", CheckOK, "", "%s is not there yet; the first start makes it", dir)
	case err != nil:
		d.say("data folder", CheckFail, choose, "%v", err)
		return false
	case !info.IsDir():
		d.say("data folder", CheckFail, choose, "%s is no folder", dir)
		return false
	case !canUse(dir):
		d.say("data folder", CheckFail, "run as the user that it belongs to, or "+choose, "%s is closed to this user", dir)
		return false
	case info.Mode().Perm()&0o022 != 0:
		d.say("data folder", CheckFail, "chmod 700 "+dir, "others can write to %s (mode %04o)", dir, info.Mode().Perm())
	case info.Mode().Perm()&0o055 != 0:
		d.say("data folder", CheckWarn, "chmod 700 "+dir, "others can look into %s (mode %04o)", dir, info.Mode().Perm())
	default:
		d.say("data folder", CheckOK, "", "%s", dir)
	}
	return true
}

// canUse is whether the files in a folder can be seen and opened.
func canUse(dir string) bool {
	_, err := os.ReadDir(dir)
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, identityName))
	}
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

func (d *doctor) identity() {
	path := IdentityFile(d.cfg.DataDir)
	id, err := LoadIdentity(path)
	var open *PermissionError
	var corrupt *CorruptIdentityError
	switch {
	case err == nil:
		d.say("identity", CheckOK, "", "%s", id)
	case errors.Is(err, fs.ErrNotExist):
		d.say("identity", CheckOK, "", "none yet; the first start makes one")
	case errors.As(err, &open):
		d.say("identity", CheckFail, open.Cure, "%s %s", path, open.Reason)
	case errors.As(err, &corrupt):
		d.say("identity", CheckFail, "bring the file back from a copy: the next start sets it aside and makes a new identity", "%s", strings.TrimPrefix(err.Error(), "node: "))
	default:
		d.say("identity", CheckFail, "", "%s", strings.TrimPrefix(err.Error(), "node: "))
	}
}

func (d *doctor) disk() {
	free, ok := freeBytes(d.cfg.DataDir)
	switch {
	case !ok:
	case free < noSpace:
		d.say("disk", CheckFail, "make room", "%d MiB free", free>>20)
	case free < littleSpace:
		d.say("disk", CheckWarn, "make room", "%d MiB free", free>>20)
	default:
		d.say("disk", CheckOK, "", "%d GiB free", free>>30)
	}
}

// book looks into the peer book, and closes it.
func (d *doctor) book() {
	switch err := d.failed; {
	case d.status != nil:
		d.say("peer book", CheckOK, "", "%d peers", d.status.Peers)
		return
	case errors.Is(err, fs.ErrNotExist):
		d.say("peer book", CheckOK, "", "none yet")
		return
	case errors.As(err, new(*peerbook.LockedError)):
		d.say("peer book", CheckFail, "stop the process that has it open, or choose another folder", "%v, which does not answer on the control socket", err)
		return
	case d.peers == nil:
		d.say("peer book", CheckFail, "set the folder aside: the peers can be found again", "%v", err)
		return
	}
	defer d.peers.Close()
	var newest time.Time // of what peers have signed
	for _, r := range d.peers.List(nil) {
		if r.Claim != nil && r.Claim.Signature != nil && r.Claim.Signature.UpdatedAt.After(newest) {
			newest = r.Claim.Signature.UpdatedAt
		}
	}
	if ahead := time.Until(newest); ahead > clockSlack {
		d.say("clock", CheckFail, "set the clock", "a peer signed something %s after now", ahead.Round(time.Minute))
	}
	s := d.peers.Stats()
	switch {
	case s.Damaged != "":
		d.say("peer book", CheckWarn, "", "%d peers; damaged files were replaced from the backup, the old ones are in %s: %s", s.Peers, s.Damaged, s.Damage)
	case s.Corrupt > 0:
		d.say("peer book", CheckWarn, "", "%d peers; %d damaged records were set aside", s.Peers, s.Corrupt)
	default:
		d.say("peer book", CheckOK, "", "%d peers, %d banned", s.Peers, s.Banned)
	}
}

// files compares the limit of open files with what the limits on connections allow.
func (d *doctor) files() {
	limit, ok := openFileLimit()
	if !ok {
		return
	}
	need := uint64(spareFiles)
	for _, n := range []struct{ set, def int }{{d.cfg.Limits.Inbound, 500}, {d.cfg.Limits.Outbound, 512}} {
		if n.set == 0 {
			n.set = n.def
		}
		need += uint64(n.set)
	}
	if limit < need {
		d.say("open files", CheckWarn, fmt.Sprintf("ulimit -n %d, or lower --max-inbound", need), "%d at a time, the connections that we allow take %d", limit, need)
		return
	}
	d.say("open files", CheckOK, "", "%d at a time", limit)
}

// port tries to listen, unless the running node does.
func (d *doctor) port(addr ma.Multiaddr) {
	name := "port " + addr.String()
	if d.status != nil {
		d.say(name, CheckOK, "", "not tried while the node runs")
		return
	}
	at, err := manet.ToNetAddr(addr)
	if err != nil {
		return // /memory and the like
	}
	l, err := net.Listen(at.Network(), at.String())
	if err != nil {
		cure := "choose an address of this machine, and a port above 1023, with --listen"
		if errors.Is(err, syscall.EADDRINUSE) {
			cure = "stop what listens there, or choose another with --listen"
		}
		d.say(name, CheckFail, cure, "%v", err)
		return
	}
	_ = l.Close()
	d.say(name, CheckOK, "", "free")
}

func (d *doctor) names() {
	if d.cfg.Tor.Everything() {
		d.say("name servers", CheckOK, "", "not used: names go through the proxy")
		return
	}
	const file = "/etc/resolv.conf"
	system, err := dns.ClientConfigFromFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return // this system keeps them elsewhere
	case err != nil:
		d.say("name servers", CheckWarn, "", "%v", err)
	case len(system.Servers) == 0:
		d.say("name servers", CheckWarn, "name one in "+file, "%s names none", file)
	default:
		d.say("name servers", CheckOK, "", "%s", strings.Join(system.Servers, ", "))
	}
}

func (d *doctor) tor(ctx context.Context) {
	s := CheckTor(ctx, d.cfg.Tor, d.cfg.DataDir)
	for _, step := range s.Steps {
		if !step.OK {
			d.say("tor", CheckFail, "", "%s: %s", step.Name, step.Detail)
			return
		}
	}
	d.say("tor", CheckOK, "", "a node can use it")
}

// proxy looks whether a proxy is there that is used without Tor's control port.
func (d *doctor) proxy(ctx context.Context) {
	if err := speaksSOCKS(ctx, d.cfg.Tor.SOCKS); err != nil {
		d.say("proxy", CheckFail, "start the proxy, or correct --socks", "%s: %s", d.cfg.Tor.SOCKS, plain(err))
		return
	}
	d.say("proxy", CheckOK, "", "%s", d.cfg.Tor.SOCKS)
}

// running looks at how the running node is connected.
func (d *doctor) running() {
	s := d.status
	if s == nil {
		d.say("node", CheckWarn, `"tari-libp2p run" starts one`, "no node runs in this folder")
		return
	}
	d.say("node", CheckOK, "", "running for %s", time.Duration(s.UptimeSec)*time.Second)
	if c := s.Connectivity; c != nil {
		detail := fmt.Sprintf("%s; nodes %d, connections in %d and out %d", c.State, c.Nodes, c.Inbound, c.Outbound)
		switch {
		case c.NoLink:
			d.say("connections", CheckFail, "connect this machine to a network", "%s; this machine has no network", detail)
		case c.State != "online":
			d.say("connections", CheckWarn, `give it peers: "tari-libp2p seeds --add", or --peer`, "%s", detail)
		default:
			d.say("connections", CheckOK, "", "%s", detail)
		}
	}
	if len(s.Public) == 0 {
		d.say("reachability", CheckWarn, "--public-address, or --tor", "no public address: nobody can dial us")
	}
	for _, p := range s.Public {
		switch p.State {
		case ReachReachable:
			d.say("reachability", CheckOK, "", "we answer at %s", p.Address)
		case ReachUnreachable:
			d.say("reachability", CheckWarn, "look at the router's and the firewall's rules for that port", "we did not reach ourselves at %s: %s", p.Address, p.Error)
		default:
			d.say("reachability", CheckWarn, "", "%s was not tried yet", p.Address)
		}
	}
}
