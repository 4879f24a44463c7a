package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/dialect"
)

// TestConformance: a node of ours passes, on this machine without a word about hostility; the table and JSON have each check.
func TestConformance(t *testing.T) {
	at := startService(t, dialect.Mainnet)
	r := command(t, "conformance", "--service", "t/test/1", "--json", at)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	var sum map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil {
		t.Fatalf("%v in %s%s", err, r.out, r.err)
	}
	if r.code != exitOK || sum["ok"] != true || sum["failed"] != 0.0 || sum["passed"].(float64) < 18 || sum["peer"] != key(at) {
		t.Errorf("%+v", r)
	}
	areas, hostile := map[string]bool{}, 0
	for _, line := range lines[:len(lines)-1] {
		var check struct {
			Area, Check, Verdict string
			Hostile              bool
		}
		if err := json.Unmarshal([]byte(line), &check); err != nil || check.Check == "" || check.Verdict == "failed" {
			t.Errorf("%v in %s", err, line)
		}
		areas[check.Area] = true
		if check.Hostile && check.Verdict == "ok" {
			hostile++
		}
	}
	for _, area := range []string{"wire byte", "noise", "identity", "negotiation", "messaging", "rpc", "limits"} {
		if !areas[area] {
			t.Errorf("no check of %s", area)
		}
	}
	if hostile == 0 {
		t.Error("nothing hostile was done on this machine")
	}
}

// TestConformanceFails: who is not there, or is somebody else, has the exit code that every command has for it.
func TestConformanceFails(t *testing.T) {
	at := startService(t, dialect.Mainnet)
	_, address, _ := strings.Cut(at, "::")
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nobody":          {[]string{key(at) + "::/ip4/127.0.0.1/tcp/1"}, exitUnreachable, "0 passed, 1 failed"},
		"somebody else":   {[]string{key(friend) + "::" + address}, exitAuthentication, "FAILED"},
		"another network": {[]string{at, "--network", "nextnet"}, exitRefused, "FAILED"},
		"no address":      {[]string{key(at)}, exitUsage, ""},
	} {
		if r := command(t, append([]string{"conformance"}, c.args...)...); r.code != c.code || !strings.Contains(r.out, c.says) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	// Beyond this machine --hostile is asked for, with a warning. 192.0.2.0/24 is nobody's.
	elsewhere := key(at) + "::/ip4/192.0.2.1/tcp/1"
	for _, hostile := range []string{"--hostile=false", "--hostile"} {
		r := command(t, "conformance", "--timeout", "100ms", hostile, elsewhere)
		if warned := strings.Contains(r.err, "bans"); r.code == exitOK || warned != (hostile == "--hostile") {
			t.Errorf("%s: %+v", hostile, r)
		}
	}
}
