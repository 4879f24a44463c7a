package metrics

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os/exec"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// startNode is a node on loopback whose events are counted, and its metrics.
func startNode(t *testing.T, cfg node.Config) (*node.Node, *Server) {
	t.Helper()
	events := NewEvents()
	tell := cfg.OnEvent
	cfg.OnEvent = func(e node.Event) {
		events.Observe(e)
		if tell != nil {
			tell(e)
		}
	}
	cfg.Listen = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}
	cfg.AllowTestAddresses = true
	n, err := node.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	server, err := Serve("127.0.0.1:0", events, Node(n))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return n, server
}

func addressOf(t *testing.T, n *node.Node) tari.Address {
	t.Helper()
	return tari.Address{Key: n.Identity.Key.Public(), Addrs: n.Host.Network().ListenAddresses()}
}

// scrape is one scrape as Prometheus would read it, and its text.
func scrape(t *testing.T, s *Server) (map[string]*dto.MetricFamily, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr().String()+Path, http.NoBody)
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
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", response.Status, err, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families, string(text)
}

// value is the metric with exactly these labels, given as name, value, name, value…; of a histogram how much it has observed.
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range families[namespace+"_"+name].GetMetric() {
		if len(m.GetLabel())*2 == len(labels) && hasLabels(m, labels) {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	t.Errorf("no %s%q in the scrape", name, labels)
	return -1
}

func hasLabels(m *dto.Metric, labels []string) bool {
	for i := 0; i < len(labels); i += 2 {
		found := false
		for _, l := range m.GetLabel() {
			found = found || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}

// eventually scrapes until the answer is good.
func eventually(t *testing.T, s *Server, what string, good func(map[string]*dto.MetricFamily) bool) map[string]*dto.MetricFamily {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		families, text := scrape(t, s)
		if good(families) {
			families, _ = scrape(t, s) // that one may have read other figures before it read this one
			return families
		}
		if time.Now().After(end) {
			t.Fatalf("never %s:\n%s", what, text)
		}
	}
}

// runTool runs a program, which must find nothing wrong.
func runTool(t *testing.T, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %q: %v\n%s", program, args, err, out)
	}
}
