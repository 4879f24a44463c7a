package node

import (
	"io"
	"net"
	"strings"
	"testing"
)

// checksOf is what the doctor said of one thing.
func (d *doctor) checksOf(name string) (out []Check) {
	for _, c := range d.checks {
		if c.Name == name {
			out = append(out, c)
		}
	}
	return out
}

// TestDoctorNames: the system's name servers matter exactly to a node that does not dial everything through its proxy.
func TestDoctorNames(t *testing.T) {
	for _, c := range []struct {
		tor     Tor
		matters bool
	}{
		{Tor{}, true},
		{Tor{Service: true}, false},
		{Tor{Service: true, Only: true}, false},
		{Tor{Service: true, Direct: true}, true},
		{Tor{SOCKS: "127.0.0.1:1"}, false},
		{Tor{SOCKS: "127.0.0.1:1", Only: true}, false},
		{Tor{SOCKS: "127.0.0.1:1", Direct: true}, true},
	} {
		d := &doctor{cfg: Config{Tor: c.tor}}
		d.names()
		said := d.checksOf("name servers")
		unused := len(said) == 1 && strings.Contains(said[0].Detail, "through the proxy")
		if unused == c.matters || c.tor.Everything() == c.matters {
			t.Errorf("%+v: %+v", c.tor, said)
		}
	}
}

// TestDoctorProxy: a proxy that is no Tor of ours needs no control port.
func TestDoctorProxy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(c, make([]byte, len(socksGreeting)))
			_, _ = c.Write([]byte(socksAccepted))
			_ = c.Close()
		}
	}()
	cfg := Config{DataDir: t.TempDir(), Tor: Tor{SOCKS: l.Addr().String(), Only: true, Control: "127.0.0.1:1"}}
	for _, want := range []Verdict{CheckOK, CheckFail} {
		if want == CheckFail {
			_ = l.Close()
			<-served
		}
		got := Diagnose(testContext(t), cfg)
		said := (&doctor{checks: got.Checks}).checksOf("proxy")
		if len(said) != 1 || said[0].Verdict != want || got.OK != (want == CheckOK) {
			t.Errorf("want %s: %+v", want, got)
		}
	}
}
