package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v3"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/pipeline"
)

// everything is a scrape of a node with all there is: Tor that does not answer, a handshake of each kind, a pipeline.
func everything(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	n, err := node.Start(t.Context(), node.Config{DataDir: t.TempDir(), Tor: node.Tor{Service: true, Control: "127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	events := NewEvents()
	for stage := range stages {
		for _, dir := range []string{inbound, outbound} {
			events.Observe(node.Event{Kind: node.EventConnected, Direction: dir, Stages: []node.Stage{{Name: stage}}})
			events.Observe(node.Event{Kind: node.EventRefused, Direction: dir, Stages: []node.Stage{{Name: stage, Error: "no"}}})
		}
	}
	var m pipeline.Metrics
	if err := m.Middleware(func(context.Context, pipeline.Message) error { return nil })(t.Context(), pipeline.Message{}); err != nil {
		t.Fatal(err)
	}
	var other pipeline.Metrics
	registry, err := newRegistry(events, Node(n), Pipeline(inbound, &m), Pipeline(outbound, &other))
	if err != nil {
		t.Fatal(err)
	}
	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	families := make(map[string]*dto.MetricFamily)
	for _, f := range gathered {
		families[f.GetName()] = f
	}
	return families
}

// rowOf is the row of a metric in docs/metrics.md, but for its last cell.
func rowOf(f *dto.MetricFamily) string {
	labels := map[string]bool{}
	for _, l := range f.GetMetric()[0].GetLabel() {
		labels[l.GetName()] = true
	}
	cell := "–"
	if len(labels) > 0 {
		cell = "`" + strings.Join(slices.Sorted(maps.Keys(labels)), "`, `") + "`"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |", f.GetName(), strings.ToLower(f.GetType().String()), cell, f.GetHelp())
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ofTheRuntime are the metrics of the Prometheus library, which the document names as a whole.
func ofTheRuntime(name string) bool {
	return strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_")
}

// TestDocumented: docs/metrics.md has a row for each metric, as it is, and none for another.
func TestDocumented(t *testing.T) {
	doc := read(t, "../docs/metrics.md")
	exported := 0
	families := everything(t)
	for name, f := range families {
		if ofTheRuntime(name) {
			continue
		}
		exported++
		if row := rowOf(f); !strings.Contains(doc, "\n"+row) {
			t.Errorf("docs/metrics.md has no row\n%s", row)
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `(tari_comms_[a-z_]+)` ").FindAllStringSubmatch(doc, -1)
	for _, row := range rows {
		if families[row[1]] == nil {
			t.Errorf("docs/metrics.md has %s, which is not exported", row[1])
		}
	}
	if len(rows) != exported {
		t.Errorf("%d rows, %d metrics", len(rows), exported)
	}
}

// query is a PromQL expression, and where it stands.
type query struct{ where, text string }

// queries are those of the dashboard and of the alerts.
func queries(t *testing.T) (out []query) {
	t.Helper()
	const board = "../packaging/grafana/tari-libp2p.json"
	var dashboard struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, board)), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s: %q shows nothing", board, p.Title)
		}
		for _, target := range p.Targets {
			out = append(out, query{p.Title, target.Expr})
		}
	}
	const rules = "../packaging/prometheus/alerts.yml"
	text := read(t, rules)
	names := regexp.MustCompile(`(?m)^ +- alert: (\w+)\n +expr: (.+)$`).FindAllStringSubmatch(text, -1)
	if all := strings.Count(text, "- alert:"); all != len(names) || all == 0 || len(out) == 0 {
		t.Fatalf("%d of %d alerts read, %d queries of the dashboard", len(names), all, len(out))
	}
	for _, n := range names {
		out = append(out, query{n[1], n[2]})
	}
	return out
}

var (
	selector = regexp.MustCompile(`([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	windows  = regexp.MustCompile(`\[[^\]]*\]`)
	call     = regexp.MustCompile(`[a-z_0-9]+\s*\(`)
)

// TestQueries: the dashboard and the alerts ask for metrics that there are, by labels and values that these have. What is tari_comms' must
// be in docs/metrics.md.
func TestQueries(t *testing.T) {
	families, doc := everything(t), read(t, "../docs/metrics.md")
	for _, q := range queries(t) {
		for _, fault := range faults(q.text, families, doc) {
			t.Errorf("%s: %s\n\tin %s", q.where, fault, q.text)
		}
	}
	for bad, fault := range map[string]string{
		`rate(tari_comms_messages_totl[5m])`:                                    "tari_comms_messages_totl is not exported",
		`sum by (x) (tari_coms_link_up)`:                                        "tari_coms_link_up is not exported",
		`tari_comms_connections{dir="inbound"} > 1`:                             "tari_comms_connections has no label dir",
		`tari_comms_connections{direction="in"}`:                                "tari_comms_connections has no direction in",
		`tari_comms_connectivity_state{state=~"online|onlin"} and up`:           "tari_comms_connectivity_state has no state onlin",
		`tari_comms::nothing or tari_comms_link_up`:                             "docs/metrics.md does not name tari_comms::nothing",
		`histogram_quantile(0.9, rate(tari_comms_handshake_second_bucket[5m]))`: "tari_comms_handshake_second_bucket is not exported",
	} {
		if got := faults(bad, families, doc); !slices.Equal(got, []string{fault}) {
			t.Errorf("%s: found %q", bad, got)
		}
	}
}

// faults are what a query asks for that is not there.
func faults(expr string, families map[string]*dto.MetricFamily, doc string) (out []string) {
	expr = call.ReplaceAllString(windows.ReplaceAllString(grouping.ReplaceAllString(expr, ""), ""), "(")
	for _, found := range selector.FindAllStringSubmatch(expr, -1) {
		name, labels := found[1], found[2]
		switch {
		case slices.Contains([]string{"and", "or", "unless", "sum", "max", "min", "avg", "count", "bool", "up"}, name):
			continue
		case strings.Contains(name, "::"):
			if !strings.Contains(doc, "`"+strings.TrimPrefix(name, "tari_")+"`") {
				out = append(out, "docs/metrics.md does not name "+name)
			}
			continue
		}
		f := familyOf(name, families)
		if f == nil {
			out = append(out, name+" is not exported")
			continue
		}
		for _, m := range matcher.FindAllStringSubmatch(labels, -1) {
			if m[1] != "instance" && m[1] != "job" { // those are Prometheus' own
				out = append(out, unknown(name, f, m[1], strings.Split(m[3], "|"))...)
			}
		}
	}
	return out
}

// familyOf finds a metric by its name, a histogram also by those of its parts.
func familyOf(name string, families map[string]*dto.MetricFamily) *dto.MetricFamily {
	if f := families[name]; f != nil {
		return f
	}
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		whole, is := strings.CutSuffix(name, part)
		if f := families[whole]; is && f != nil && f.GetType() == dto.MetricType_HISTOGRAM {
			return f
		}
	}
	return nil
}

// unknown are the values of a label that no series of the metric has.
func unknown(name string, f *dto.MetricFamily, label string, values []string) (out []string) {
	has := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == label {
				has[l.GetValue()] = true
			}
		}
	}
	if len(has) == 0 {
		return []string{name + " has no label " + label}
	}
	for _, v := range values {
		if !has[v] {
			out = append(out, fmt.Sprintf("%s has no %s %s", name, label, v))
		}
	}
	return out
}

// TestWords: what is told of from the start, with 0, is all that there is: the constants of other packages are found in their source.
func TestWords(t *testing.T) {
	constants := func(file, pattern string) (values []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, file), -1) {
			values = append(values, m[1])
		}
		if len(values) < 5 {
			t.Fatalf("%s: only %d constants found", file, len(values))
		}
		return values
	}
	told := map[string]bool{string(node.EventMissed): true} // it is made for one watcher
	for _, k := range kinds {
		told[string(k)] = true
	}
	for _, r := range refusals {
		told[string(r)] = true
	}
	for name := range stages {
		told[name] = true
	}
	for _, v := range slices.Concat(
		constants("../node/event.go", `Event\w+ +EventKind = "(\w+)"`),
		constants("../refusal.go", `Refused\w+ +Refusal = "(\w+)"`),
		constants("../dialect/dialect.go", `Stage\w+ += "(\w+)"`),
	) {
		if !told[v] {
			t.Errorf("%q is not told of from the start", v)
		}
	}
	for r := messagingproto.TooLarge; r <= messagingproto.Closed; r++ {
		if r.Word() == "" {
			t.Errorf("messages not sent because %v have no word", r)
		}
	}
	if dialect.Budget > time.Minute {
		t.Error("the last bucket of handshake_seconds does not fit")
	}
}

// TestRules has promtool judge the alerts, by their unit tests too, and whether it can parse what the dashboard asks for.
func TestRules(t *testing.T) {
	promtool := os.Getenv("TARI_LIBP2P_PROMTOOL")
	if promtool == "" {
		t.Skip("scripts/test.sh alerts runs this: promtool is not part of Go")
	}
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	grafana := strings.NewReplacer("$__rate_interval", "5m", "$instance", "x")
	for i, q := range queries(t) {
		expr, err := json.Marshal(grafana.Replace(q.text)) // JSON's strings are YAML's
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&rules, "      - {record: 'q%d', expr: %s}\n", i, expr)
	}
	board := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(board, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", "rules", "../packaging/prometheus/alerts.yml"},
		{"test", "rules", "../packaging/prometheus/alerts_test.yml"},
		{"check", "rules", board},
		{"check", "config", "../packaging/prometheus/prometheus.yml"},
	} {
		runTool(t, promtool, args...)
	}
}

// TestCompose: what compose.yaml mounts is there, and the three services find each other by the names that they have there.
func TestCompose(t *testing.T) {
	const dir = "../packaging/"
	read := func(name string) (v map[string]any) {
		t.Helper()
		raw, err := os.ReadFile(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(raw, &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return v
	}
	services := read("compose.yaml")["services"].(map[string]any)
	mounts := 0
	for name, s := range services {
		for _, volume := range s.(map[string]any)["volumes"].([]any) {
			from, _, _ := strings.Cut(volume.(string), ":")
			if !strings.HasPrefix(from, "./") {
				continue
			}
			mounts++
			if _, err := os.Stat(dir + from); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if mounts != 3 {
		t.Errorf("%d files and folders are mounted", mounts)
	}
	command := fmt.Sprint(services["node"].(map[string]any)["command"])
	scraped := fmt.Sprint(read("prometheus/prometheus.yml")["scrape_configs"])
	source := fmt.Sprint(read("grafana/provisioning/datasources/prometheus.yaml")["datasources"])
	if !strings.Contains(command, "0.0.0.0:9107") || !strings.Contains(scraped, "[node:9107]") || !strings.Contains(scraped, "job_name:tari-libp2p") {
		t.Errorf("Prometheus scrapes %s, the node is started with %s", scraped, command)
	}
	if _, ok := services["prometheus"]; !ok || !strings.Contains(source, "http://prometheus:9090") {
		t.Errorf("Grafana asks %s", source)
	}
	if read("grafana/provisioning/dashboards/tari-libp2p.yaml")["providers"] == nil {
		t.Error("no dashboards")
	}
}
