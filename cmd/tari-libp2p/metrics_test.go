package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// get is the answer at a URL, and its status.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestRunMetrics: run serves metrics when asked, on this machine without a word, elsewhere with a warning; and a message counts.
func TestRunMetrics(t *testing.T) {
	n := startRun(t, t.TempDir(), "--metrics-addr", "0", "--allow-test-addresses")
	_, url, _ := strings.Cut(n.line("metrics at "), "metrics at ")
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("served at %s", url)
	}
	if r := command(t, "send", n.peer, "hello", "--data-dir", t.TempDir(), "--allow-test-addresses"); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	n.line("hello")
	status, text := get(t, url)
	for _, want := range []string{`tari_comms_messages_total{direction="inbound"} 1`, `tari_comms_connections_success_total{direction="inbound"} 1`, "go_goroutines ", "tari_comms_build_info{"} {
		if !strings.Contains(text, "\n"+want) || status != http.StatusOK {
			t.Errorf("%d, no %s in\n%s", status, want, text)
		}
	}
	if status, _ := get(t, strings.TrimSuffix(url, "/metrics")); status != http.StatusNotFound {
		t.Errorf("beside /metrics: %d", status)
	}
	// Somebody who asks and never reads does not hold up Ctrl-C.
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/metrics")
	deaf, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	if _, err := io.WriteString(deaf, "GET /metrics HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	if code := n.stop(); code != exitOK {
		t.Errorf("code %d: %s", code, n.errs)
	}
	if log := n.errs.String(); strings.Contains(log, "password") {
		t.Errorf("loopback is warned of: %s", log)
	}

	open := startRun(t, t.TempDir(), "--metrics-addr", "0.0.0.0:0", "--json")
	var ready struct{ Event, Address string }
	if err := json.Unmarshal([]byte(open.line(`"event":"metrics"`)), &ready); err != nil || !strings.HasSuffix(ready.Address, "/metrics") {
		t.Errorf("%+v, %v", ready, err)
	}
	if log := open.errs.String(); !strings.Contains(log, "password") {
		t.Errorf("no warning: %q", log)
	}

	without := startRun(t, t.TempDir())
	without.stop()
	for line := range without.lines {
		if strings.Contains(line, "metrics") {
			t.Errorf("not asked for: %s", line)
		}
	}
}

func TestMetricsAddress(t *testing.T) {
	for text, want := range map[string]string{
		"9107": "127.0.0.1:9107", ":9107": "127.0.0.1:9107", "[::1]:9107": "[::1]:9107", "0.0.0.0:1": "0.0.0.0:1", "": "",
		"localhost:80": "localhost:80", "70000": "error", "x": "error", "127.0.0.1": "error", "127.0.0.1:x": "error", "::1": "error", ":": "error",
	} {
		var m metricsAddr
		if err := m.Set(text); (err != nil) != (want == "error") || err == nil && m.String() != want {
			t.Errorf("%q is %q, %v", text, m, err)
		}
	}
	n := startRun(t, t.TempDir(), "--metrics-addr", "0")
	_, url, _ := strings.Cut(n.line("metrics at "), "metrics at ")
	taken := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/metrics")
	r := command(t, "run", "--no-dns-seeds", "--listen", "", "--data-dir", t.TempDir(), "--metrics-addr", taken)
	if r.code != exitOther || !strings.Contains(r.err, "--metrics-addr") {
		t.Errorf("a port in use: %+v", r)
	}
}
