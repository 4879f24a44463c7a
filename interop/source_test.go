//go:build interop && linux

package interop

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
)

// What a listener of tari_comms 6 takes from one source, by default.
const (
	modernInboundPerSource    = 32
	modernHandshakesPerSource = 4
)

const (
	insideEnv = "TARI_LIBP2P_SOURCE" // set in a process that runs in a namespace of its own
	source    = "/ip4/203.0.113.1/tcp/0"
)

// inNamespace runs test in a process with a network namespace of its own, where
// an address that is not loopback belongs to this machine. Without what that
// takes the test is skipped, in CI it fails.
func inNamespace(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if os.Getenv(insideEnv) != "" {
		for _, args := range []string{"link set lo up", "addr add 203.0.113.1/32 dev lo"} {
			if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v: %s", args, err, out)
			}
		}
		test(t)
		return
	}
	missing := ""
	if _, err := exec.LookPath("ip"); err != nil {
		missing = "ip is not installed (Debian: apt-get install iproute2)"
	} else if os.Geteuid() != 0 {
		missing = "a network namespace takes root"
	}
	if missing != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "10m")
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in the namespace: %v\n%s", err, out)
	}
}

// TestModernSourceFull: the modern crate counts by source too, except for
// loopback. With four handshakes under way from one source, or 32 connections,
// it closes whoever else comes from there; we say so, and are taken when there
// is room.
func TestModernSourceFull(t *testing.T) {
	modern.binary(t)
	inNamespace(t, func(t *testing.T) {
		cfg := tari.Config{Listen: []ma.Multiaddr{ma.StringCast(source)}}
		t.Run("handshakes", func(t *testing.T) {
			rust, us := startRust(t, modern, "--listen", source), startOurs(t, cfg)
			h := hold(t, rust, mainnetByte, modernHandshakesPerSource+4)
			checkRefusal(t, refused(t, us, rust))
			h.stop()
			takenAgain(t, us, rust)
		})
		t.Run("connections", func(t *testing.T) {
			rust := startRust(t, modern, "--listen", source)
			crowd := connectCrowd(t, rust, modernInboundPerSource)
			us, err := refusedBeside(t, cfg, rust)
			checkRefusal(t, err)
			_ = crowd[0].Close()
			takenAgain(t, us, rust)
		})
	})
}
