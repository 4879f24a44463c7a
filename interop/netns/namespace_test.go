//go:build interop && linux

package netns

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// insideEnv is set in a process that runs in a namespace of its own.
const insideEnv = "TARI_LIBP2P_NETNS"

// inside runs test in a process of its own, in network and mount namespaces of
// its own, set up as the package's doc says, and returns what that process
// printed. Without what it takes the test is skipped, in CI it fails.
func inside(t *testing.T, test func(t *testing.T)) string {
	t.Helper()
	if os.Getenv(insideEnv) != "" {
		setUp(t)
		test(t)
		return ""
	}
	missing := ""
	for _, tool := range []string{"ip", "nft", "tor"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = tool + " is not installed (Debian: apt-get install iproute2 nftables tor)"
		}
	}
	if os.Geteuid() != 0 {
		missing = "a network namespace takes root"
	}
	if missing != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	var pattern []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		pattern = append(pattern, "^"+part+"$")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	left := 10 * time.Minute
	if deadline, ok := t.Deadline(); ok {
		left = time.Until(deadline)
	}
	// What runs in parallel in there waits rather than computes.
	cmd := exec.CommandContext(t.Context(), self, "-test.run", strings.Join(pattern, "/"), "-test.v", "-test.timeout", left.String(), "-test.parallel", "64")
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in the namespace: %v\n%s", err, out)
	}
	t.Logf("in the namespace:\n%s", out)
	return string(out)
}

// rules count what a process sends that is not for loopback. Neighbour discovery
// and multicast reports are the kernel's own and are not counted.
const rules = `
table inet leak {
	counter outside {}
	counter dns {}
	chain output {
		type filter hook output priority 0;
		th dport 53 counter name dns
		oifname != "lo" meta l4proto != ipv6-icmp counter name outside
	}
}
`

func setUp(t *testing.T) {
	t.Helper()
	for _, args := range []string{
		"link set lo up",
		"link add outside type veth peer name drain", // not every kernel has dummy interfaces
		"link set outside addrgenmode none",
		"link set drain addrgenmode none",
		"link set outside arp off", // nobody would answer
		"link set drain up",
		"link set outside up",
		"addr add 203.0.113.1/24 dev outside",
		"addr add 2001:db8::1/64 dev outside nodad",
		"route add default via 203.0.113.254",
		"-6 route add default via 2001:db8::fe",
	} {
		runIP(t, args)
	}
	addRules(t, rules)
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver 203.0.113.53\noptions timeout:1 attempts:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// The mount namespace, and the mount with it, ends with this process.
	if err := syscall.Mount(resolv, "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		t.Fatalf("mounting a resolv.conf: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount("/etc/resolv.conf", syscall.MNT_DETACH) }) // or the folder cannot be removed
}

// runIP runs a command of iproute2.
func runIP(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

// sent is how many packets have left for anything but loopback, and how many to a name server.
func sent(t *testing.T) (outside, dns int) {
	t.Helper()
	return counted(t, "outside"), counted(t, "dns")
}

// counted is what a counter of the namespace stands at.
func counted(t *testing.T, name string) int {
	t.Helper()
	out, err := exec.Command("nft", "-j", "list", "counters").Output()
	if err != nil {
		t.Fatalf("nft: %v", err)
	}
	var listed struct {
		Nftables []struct {
			Counter struct {
				Name    string `json:"name"`
				Packets int    `json:"packets"`
			} `json:"counter"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(out, &listed); err != nil {
		t.Fatalf("nft said %s: %v", out, err)
	}
	for _, item := range listed.Nftables {
		if item.Counter.Name == name {
			return item.Counter.Packets
		}
	}
	t.Fatalf("nft lists no counter %s: %s", name, out)
	return 0
}

// addRules adds rules to the namespace.
func addRules(t *testing.T, rules string) {
	t.Helper()
	nft := exec.Command("nft", "-f", "-")
	nft.Stdin = strings.NewReader(rules)
	if out, err := nft.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
}

// watchSockets looks at this process's sockets over and over until the function it returns is called, which gives
// all that were bound or connected to anything but loopback.
func watchSockets() (stop func() []string) {
	quit, done := make(chan struct{}), make(chan struct{})
	found := map[string]bool{}
	go func() {
		defer close(done)
		for {
			for _, s := range openSockets() {
				found[s] = true
			}
			select {
			case <-quit:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() []string {
		close(quit)
		<-done
		var out []string
		for s := range found {
			out = append(out, s)
		}
		slices.Sort(out)
		return out
	}
}

// openSockets are this process's internet sockets with an end that is not on loopback.
func openSockets() []string {
	ours := map[string]bool{} // inodes
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, "socket:[") {
			ours[strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")] = true
		}
	}
	var out []string
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6", "raw", "raw6"} {
		f, err := os.Open("/proc/self/net/" + table)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(f)
		lines.Scan() // the heading
		for lines.Scan() {
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
			fields := strings.Fields(lines.Text())
			if len(fields) < 10 || !ours[fields[9]] {
				continue
			}
			local, remote := procAddress(fields[1]), procAddress(fields[2])
			if !local.Addr().IsLoopback() || !remote.Addr().IsLoopback() && !remote.Addr().IsUnspecified() {
				out = append(out, table+" "+local.String()+" → "+remote.String())
			}
		}
		_ = f.Close()
	}
	return out
}

// procAddress reads an address as /proc has it: words of four bytes in the machine's order, all in hexadecimal, and the port.
func procAddress(text string) netip.AddrPort {
	host, port, _ := strings.Cut(text, ":")
	raw, _ := hex.DecodeString(host)
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	addr, _ := netip.AddrFromSlice(raw)
	p, _ := hex.DecodeString(port)
	if len(p) != 2 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(p[0])<<8|uint16(p[1]))
}
