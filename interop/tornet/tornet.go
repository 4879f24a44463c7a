//go:build linux

// Package tornet runs a private Tor network on loopback: directory
// authorities, relays and clients of the system's own tor, with no way to the
// outside. Tests reach onion services through it as they would through Tor's
// public network.
package tornet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	authorities = 3
	relays      = 3
)

// Network is a running private network. Stop ends it.
type Network struct {
	dir    string
	common string // the DirAuthority lines and what all share
	nodes  []*Node
}

// Node is one tor process.
type Node struct {
	Name    string
	Control string // host:port of the control port
	SOCKS   string // host:port of the SOCKS port; clients only
	Dir     string // its data folder; the control cookie is control_auth_cookie in it

	config string
	mu     sync.Mutex
	cmd    *exec.Cmd
	ended  chan struct{}
}

// Available says why there can be no network on this machine, or nil.
func Available() error {
	for _, tool := range []string{"tor", "tor-gencert"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed (Debian: apt-get install tor)", tool)
		}
	}
	return nil
}

// Start makes keys for and starts authorities and relays under dir. It returns at
// once; clients say when the network serves (Node.WaitBootstrapped).
func Start(ctx context.Context, dir string) (*Network, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	n := &Network{dir: dir}
	var lines strings.Builder
	var configs []string
	for i := range authorities {
		line, config, err := n.authority(ctx, fmt.Sprintf("authority%d", i))
		if err != nil {
			return nil, err
		}
		lines.WriteString(line)
		configs = append(configs, config)
	}
	n.common = lines.String() + shared
	for i, config := range configs {
		if _, err := n.start(fmt.Sprintf("authority%d", i), config); err != nil {
			return nil, errors.Join(err, n.Stop())
		}
	}
	for i := range relays {
		name := fmt.Sprintf("relay%d", i)
		ports, err := freePorts(2)
		if err != nil {
			return nil, errors.Join(err, n.Stop())
		}
		config := fmt.Sprintf("Nickname %s\nAddress 127.0.0.1\nOrPort 127.0.0.1:%d\nExitRelay 1\nExitPolicy accept *:*\nSocksPort 0\nControlPort 127.0.0.1:%d\nCookieAuthentication 1\n", name, ports[0], ports[1])
		if _, err := n.start(name, config); err != nil {
			return nil, errors.Join(err, n.Stop())
		}
	}
	return n, nil
}

// shared is what every tor of the network is told. The authorities vote every
// ten seconds, from the start: in a testing network the names under which onion
// services publish themselves depend on the interval of the consensus in use, so
// with another interval for the first vote a client and a service that hold
// different consensuses would miss each other for minutes.
const shared = `TestingTorNetwork 1
AssumeReachable 1
EnforceDistinctSubnets 0
ExitPolicyRejectPrivate 0
ClientRejectInternalAddresses 0
TestingV3AuthInitialVotingInterval 10 seconds
TestingV3AuthInitialVoteDelay 2 seconds
TestingV3AuthInitialDistDelay 2 seconds
RunAsDaemon 0
`

// authority makes one authority's keys; line is its DirAuthority line.
func (n *Network) authority(ctx context.Context, name string) (line, config string, err error) {
	dir := filepath.Join(n.dir, name)
	keys := filepath.Join(dir, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return "", "", err
	}
	ports, err := freePorts(3)
	if err != nil {
		return "", "", err
	}
	gencert := exec.CommandContext(ctx, "tor-gencert", "--create-identity-key", "-m", "12", "-a", fmt.Sprintf("127.0.0.1:%d", ports[1]), "--passphrase-fd", "0")
	gencert.Dir, gencert.Stdin = keys, strings.NewReader("test\n")
	if out, err := gencert.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("tor-gencert: %w: %s", err, out)
	}
	cert, err := os.ReadFile(filepath.Join(keys, "authority_certificate"))
	if err != nil {
		return "", "", err
	}
	v3 := regexp.MustCompile(`(?m)^fingerprint ([0-9A-F]{40})`).FindSubmatch(cert)
	if v3 == nil {
		return "", "", errors.New("tor-gencert made a certificate without fingerprint")
	}
	config = fmt.Sprintf("Nickname %s\nAddress 127.0.0.1\nOrPort 127.0.0.1:%d\nDirPort 127.0.0.1:%d\nControlPort 127.0.0.1:%d\nCookieAuthentication 1\nSocksPort 0\n", name, ports[0], ports[1], ports[2]) +
		"AuthoritativeDirectory 1\nV3AuthoritativeDirectory 1\nContactInfo none@localhost\nExitPolicy reject *:*\n" +
		"AuthDirMaxServersPerAddr 0\nV3AuthVotingInterval 10 seconds\nV3AuthVoteDelay 2 seconds\nV3AuthDistDelay 2 seconds\n" +
		"TestingDirAuthVoteExit *\nTestingDirAuthVoteGuard *\nTestingDirAuthVoteHSDir *\n"
	rc := filepath.Join(dir, "fingerprint-torrc")
	placeholder := fmt.Sprintf("DirAuthority x orport=1 v3ident=%s 127.0.0.1:1 %s\n", v3[1], strings.Repeat("F", 40))
	if err := os.WriteFile(rc, []byte(placeholder+shared+config+"DataDirectory "+dir+"\n"), 0o600); err != nil {
		return "", "", err
	}
	out, err := exec.CommandContext(ctx, "tor", "-f", rc, "--list-fingerprint", "--hush").CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("tor --list-fingerprint: %w: %s", err, out)
	}
	fp := regexp.MustCompile(`(?m)^` + name + `((?: [0-9A-F]{4}){10})`).FindSubmatch(out)
	if fp == nil {
		return "", "", fmt.Errorf("tor --list-fingerprint said %q", out)
	}
	id := bytes.ReplaceAll(fp[1], []byte(" "), nil)
	return fmt.Sprintf("DirAuthority %s orport=%d v3ident=%s 127.0.0.1:%d %s\n", name, ports[0], v3[1], ports[1], id), config, nil
}

// Client starts another client of the network, with SOCKS and control port.
func (n *Network) Client(name string) (*Node, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf("ClientOnly 1\nSocksPort 127.0.0.1:%d\nControlPort 127.0.0.1:%d\nCookieAuthentication 1\n", ports[0], ports[1])
	node, err := n.start(name, config)
	if err != nil {
		return nil, err
	}
	node.SOCKS = fmt.Sprintf("127.0.0.1:%d", ports[0])
	node.Control = fmt.Sprintf("127.0.0.1:%d", ports[1])
	return node, nil
}

func (n *Network) start(name, config string) (*Node, error) {
	dir := filepath.Join(n.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	rc := filepath.Join(dir, "torrc")
	text := n.common + config + "DataDirectory " + dir + "\nLog notice file " + filepath.Join(dir, "log") + "\nPidFile " + filepath.Join(dir, "pid") + "\n"
	if err := os.WriteFile(rc, []byte(text), 0o600); err != nil {
		return nil, err
	}
	node := &Node{Name: name, Dir: dir, config: rc}
	n.nodes = append(n.nodes, node)
	return node, node.Run()
}

// Run starts the node's process, again after it ended.
func (n *Node) Run() error { return n.run(n.config) }

// RunWithoutControl is Run, but nothing listens at the control port.
func (n *Node) RunWithoutControl() error {
	text, err := os.ReadFile(n.config)
	if err != nil {
		return err
	}
	rc := n.config + "-without-control"
	if err := os.WriteFile(rc, regexp.MustCompile(`(?m)^ControlPort .*`).ReplaceAll(text, []byte("ControlPort 0")), 0o600); err != nil {
		return err
	}
	return n.run(rc)
}

func (n *Node) run(config string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cmd = exec.Command("tor", "-f", config, "--quiet")
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	cmd, ended := n.cmd, make(chan struct{})
	n.ended = ended
	go func() { _ = cmd.Wait(); close(ended) }()
	return nil
}

// Signal sends a signal to the node's process.
func (n *Node) Signal(s syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cmd.Process.Signal(s)
}

// End kills the process and waits for its end.
func (n *Node) End() {
	_ = n.Signal(syscall.SIGKILL)
	n.Wait()
}

// Wait waits until the process has ended.
func (n *Node) Wait() {
	n.mu.Lock()
	ended := n.ended
	n.mu.Unlock()
	<-ended
}

// Log is the end of the node's log, for a test that failed.
func (n *Node) Log() string {
	b, err := os.ReadFile(filepath.Join(n.Dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// WaitBootstrapped waits until the node's log says that it is connected to the network.
func (n *Node) WaitBootstrapped(ctx context.Context) error {
	for {
		b, _ := os.ReadFile(filepath.Join(n.Dir, "log"))
		if at := bytes.LastIndex(b, []byte("Bootstrapped 0%")); at >= 0 && bytes.Contains(b[at:], []byte("Bootstrapped 100%")) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has not bootstrapped: %w\n%s", n.Name, ctx.Err(), n.Log())
		case <-n.ended:
			return fmt.Errorf("%s has ended\n%s", n.Name, n.Log())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Stop ends every process of the network.
func (n *Network) Stop() error {
	for _, node := range n.nodes {
		node.mu.Lock()
		running := node.cmd != nil && node.cmd.Process != nil
		node.mu.Unlock()
		if running {
			node.End()
		}
	}
	return nil
}

// freePorts are ports on loopback that were free a moment ago. They are below those that the system picks by itself, so that no connection
// takes one until Tor listens there.
func freePorts(count int) ([]int, error) {
	var ports []int
	for tries := 0; len(ports) < count; tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err != nil && tries < 100 {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
