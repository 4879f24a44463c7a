package crawl

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/internal/crawltest"
	"github.com/tari-libp2p/tari-libp2p/peersync"
)

// some is a result with a peer of each sort.
func some(t testing.TB) *Result {
	onion := "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234"
	a, b, c := crawltest.Signed(t, "/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.5/tcp/1", onion), crawltest.Signed(t, "/dns4/example.com/tcp/1"), crawltest.Signed(t, "/ip6/2a00::1/tcp/1")
	visit := &Visit{
		At: time.Unix(1_800_000_000, 0), TookUS: 5, Class: Answered, UserAgent: "=cmd|calc", Protocols: []string{"t/dht/1", "t/msg/0.1"}, Final: true,
		Attempts: []Attempt{{Address: "/ip4/1.2.3.4/tcp/1", Class: Unreachable, Error: "no"}, {Address: onion}},
		Told:     3, New: 2, Invalid: map[peersync.Fault]int{peersync.FaultSignature: 2, peersync.FaultFuture: 1},
	}
	return &Result{Dropped: 4, Peers: []Peer{
		{Key: a.Key, Claim: a, Addrs: a.Addresses, Visit: visit, ToldBy: 1},
		{Key: b.Key, Claim: b, Addrs: b.Addresses, Visit: &Visit{Class: Unreachable, Error: "-nobody", Final: true}},
		{Key: c.Key, Addrs: c.Addresses, Start: true},
	}}
}

func TestSummary(t *testing.T) {
	got, _ := json.Marshal(some(t).Summary())
	want := `{"peers":3,"reached":1,"waiting":1,"dropped":4,"classes":{"answered":1,"unreachable":1},"agents":[{"user_agent":"=cmd|calc","peers":1}],` +
		`"address_kinds":{"dns":{"peers":1,"reached":0},"ip4":{"peers":1,"reached":0},"ip6":{"peers":1,"reached":0},"onion3":{"peers":1,"reached":1}},` +
		`"invalid":{"future":1,"signature":2}}`
	if string(got) != want {
		t.Errorf("%s", got)
	}
}

func TestExport(t *testing.T) {
	r := some(t)
	var js, table bytes.Buffer
	if err := r.WriteJSON(&js); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteCSV(&table); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&table).ReadAll()
	if err != nil || len(rows) != 4 || !slices.Equal(rows[0], columns) {
		t.Fatal(rows, err)
	}
	cell := func(row int, name string) string { return rows[row][slices.Index(columns, name)] }
	for i, line := range slices.Collect(strings.Lines(js.String())) {
		var row Row
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		p := r.Peers[i]
		if row.PublicKey != p.Key.String() || row.NodeID != p.Key.NodeID().String() || len(row.Addresses) != len(p.Addrs) || (row.Signed == nil) != (p.Claim == nil) || (row.Visited == nil) != (p.Visit == nil) {
			t.Errorf("%s", line)
		}
		if cell(i+1, "public_key") != row.PublicKey || cell(i+1, "class") != string(row.Class) || cell(i+1, "addresses") != strings.Join(row.Addresses, " ") {
			t.Errorf("%q", rows[i+1])
		}
	}
	if cell(1, "user_agent") != "'=cmd|calc" || cell(2, "error") != "'-nobody" || cell(1, "invalid") != "future=1 signature=2" || cell(1, "visited") != "2027-01-15T08:00:00Z" {
		t.Errorf("%q", rows[1:])
	}
}

func TestHostOf(t *testing.T) {
	for text, want := range map[string][2]string{
		"/ip4/1.2.3.4/tcp/1":         {"ip4", "1.2.3.4"},
		"/ip6/::ffff:1.2.3.4/tcp/2":  {"ip6", "1.2.3.4"},
		"/ip6/2a00:1:2:3:4::5/tcp/1": {"ip6", "2a00:1:2:3::/64"},
		"/dns4/A.example.com/tcp/1":  {"dns", "a.example.com"},
		"/memory/7":                  {"other", "7"},
		"/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234": {"onion3", "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd"},
	} {
		a := ma.StringCast(text)
		if got := [2]string{Kind(a), hostOf(a)}; got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if Kind(nil) != "other" || hostOf(nil) != "" {
		t.Error("an empty address")
	}
}
