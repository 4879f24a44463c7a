package webstatus

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tari-libp2p/tari-libp2p/node"
)

// fake is a Source whose snapshot a test changes.
type fake struct {
	mu    sync.Mutex
	now   node.Overview
	asked int
}

func (f *fake) Overview() node.Overview {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	s := f.now
	s.Time = time.Now()
	return s
}

func (f *fake) change(change func(*node.Overview)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.now)
}

// key is a public key that looks like one.
func key(n int) string { return fmt.Sprintf("%064x", n+1<<20) }

// busy is a node with something of everything.
func busy() *fake {
	return &fake{now: node.Overview{
		Status: node.Status{
			Running: true, Network: "localnet", PublicKey: key(0), Addresses: []string{key(0) + "::/ip4/127.0.0.1/tcp/1"}, UptimeSec: 3700, DataDir: "/secret/folder",
			Connectivity: &node.ConnectivityInfo{State: "online", Nodes: 2, Clients: 1},
			Connections: []node.ConnectionInfo{
				{Peer: key(1), Address: "/ip4/192.0.2.1/tcp/18189", AddressClass: "ip4", Direction: "inbound", Dialect: "modern", UserAgent: "one/1", AgeSec: 5, Streams: 2, RoundTripUS: 7_700},
				{Peer: key(2), Address: "/onion3/abc:18141", AddressClass: "onion", Direction: "outbound", Dialect: "modern", UserAgent: "two/2", AgeSec: 4000},
			},
		},
		Book:     node.BookCounts{Peers: 9, Banned: 1},
		Messages: node.MessageCounts{Received: 7, ReceivedBytes: 5000, Sent: 3, Dropped: map[string]uint64{"too_large": 4, "expired": 5}},
		Bans:     []node.Banned{ban(key(3), 90*time.Minute, "spoke out of turn")},
		Stages:   []node.StageTimes{{Stage: "noise", Passed: 12, Failed: 2, MedianUS: 1500, P90US: 40_000}, {Stage: "yamux"}},
		Events:   []node.Event{{Kind: node.EventBanned, Error: "an event of long ago"}},
	}}
}

func ban(peer string, left time.Duration, why string) node.Banned {
	return node.Banned{PublicKey: peer, Banned: &node.BanInfo{Until: time.Now().Add(left), Reason: why}}
}

// answer is what the handler of a source answers.
func answer(t *testing.T, s Source, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	out := httptest.NewRecorder()
	guard("", handler(newWatch(s, 1))).ServeHTTP(out, r)
	return out
}

func request(method, path, host string) *http.Request {
	r := httptest.NewRequest(method, path, http.NoBody)
	r.Host = host
	return r
}

// page is the HTML that a source gives.
func pageOf(t *testing.T, s Source) string {
	t.Helper()
	out := answer(t, s, request(http.MethodGet, PagePath, "127.0.0.1:1"))
	if out.Code != http.StatusOK || out.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d, %v", out.Code, out.Header())
	}
	return out.Body.String()
}

func TestPage(t *testing.T) {
	text := pageOf(t, busy())
	for _, want := range []string{
		"<title>online – tari-libp2p</title>", "localnet", "up 1 h 1 min", key(0) + "::/ip4/127.0.0.1/tcp/1", key(1), "192.0.2.1", "one/1",
		">inbound<", ">onion<", "1 h 6 min", key(3), "for 1 h 29 min", "spoke out of turn", "1.5 ms", "40 ms", "2 failed", "12 passed", "the keys are proven",
		"1 inbound, 1 outbound", "9 failed", "7.7 ms", "4.9 KiB", `<noscript><meta http-equiv="refresh"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	if strings.Index(text, key(2)) > strings.Index(text, key(1)) {
		t.Error("the oldest connection is not the first")
	}
	for _, not := range []string{" style=", "<style", "javascript:", " onload", "http://", "https://", "%!"} {
		if strings.Contains(text, not) {
			t.Errorf("%q is in the page, which the policy would stop", not)
		}
	}
	empty := pageOf(t, new(fake))
	for _, want := range []string{"None.", "Nobody is banned.", "listens nowhere"} {
		if !strings.Contains(empty, want) {
			t.Errorf("no %q in an empty page", want)
		}
	}
}

// TestFiles: what the page is made of is there, with its type, and nothing beside it.
func TestFiles(t *testing.T) {
	text := pageOf(t, busy())
	for name, kind := range files {
		out := answer(t, busy(), request(http.MethodGet, "/"+name, "localhost"))
		if out.Code != http.StatusOK || out.Header().Get("Content-Type") != kind || out.Body.Len() == 0 || !strings.Contains(text, `"`+name+`"`) {
			t.Errorf("%s: %d, %v", name, out.Code, out.Header())
		}
		if strings.Contains(out.Body.String(), "://") && name != "icon.svg" { // whose namespace is no address
			t.Errorf("%s names an address elsewhere", name)
		}
	}
	for _, path := range []string{"/page.html", "/assets/page.html", "/favicon.ico", "/x"} {
		if out := answer(t, busy(), request(http.MethodGet, path, "localhost")); out.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, out.Code)
		}
	}
}

func TestJSON(t *testing.T) {
	source := busy()
	source.now.Connections[0].UserAgent = "</script>\x1b[2J\u202e\u009b\U0001f600"
	out := answer(t, source, request(http.MethodGet, JSONPath, "[::1]:80"))
	var got struct {
		Schema int
		node.Overview
		Rates Rates `json:"message_rates"`
	}
	if err := json.Unmarshal(out.Body.Bytes(), &got); err != nil || got.Schema != 1 || out.Header().Get("Content-Type") != "application/json" {
		t.Fatal(err, got.Schema, out.Header())
	}
	if len(got.Connections) != 2 || got.Connections[1].UserAgent != source.now.Connections[0].UserAgent || got.Messages.Received != 7 || got.Rates.StepSec != 2 {
		t.Errorf("%+v", got)
	}
	for _, not := range []string{"data_dir", "secret", "events", "long ago"} {
		if strings.Contains(out.Body.String(), not) {
			t.Errorf("%q is in the JSON", not)
		}
	}
	for _, b := range out.Body.String() {
		if b != '\n' && (b < ' ' || b > '~') {
			t.Errorf("%q is in the JSON as it is", b)
		}
	}
}

// TestGuard: only GET and HEAD, only by our own name or an address; and every answer has the headers.
func TestGuard(t *testing.T) {
	for _, c := range []struct {
		method, path, host string
		code               int
	}{
		{"GET", "/", "127.0.0.1:9108", 200},
		{"GET", "/", "localhost:1", 200},
		{"GET", "/", "LOCALHOST", 200},
		{"GET", "/", "[::1]:9108", 200},
		{"GET", "/", "[::1]", 200},
		{"GET", "/", "192.0.2.7:80", 200},
		{"HEAD", "/", "127.0.0.1", 200},
		{"HEAD", "/status.json", "127.0.0.1", 200},
		{"GET", "/none", "127.0.0.1", 404},
		{"GET", "/", "evil.example", 421},
		{"GET", "/status.json", "evil.example:9108", 421},
		{"GET", "/", "localhost.evil.example", 421},
		{"GET", "/", "127.0.0.1.evil.example", 421},
		{"GET", "/", "", 421},
		{"GET", "/", ":9108", 421},
		{"GET", "/", "127.0.0.1@evil.example", 421},
		{"GET", "/", "localhost.", 421},
		{"GET", "/live.js", "evil.example", 421},
		{"POST", "/", "evil.example", 421},
		{"POST", "/", "127.0.0.1", 405},
		{"PUT", "/status.json", "127.0.0.1", 405},
		{"DELETE", "/", "127.0.0.1", 405},
		{"OPTIONS", "/", "127.0.0.1", 405},
		{"TRACE", "/", "127.0.0.1", 405},
		{"get", "/", "127.0.0.1", 405},
	} {
		out := answer(t, busy(), request(c.method, c.path, c.host))
		if out.Code != c.code {
			t.Errorf("%s %s of %q: %d", c.method, c.path, c.host, out.Code)
		}
		for name, value := range headers {
			if out.Header().Get(name) != value {
				t.Errorf("%s %s of %q: %s is %q", c.method, c.path, c.host, name, out.Header().Get(name))
			}
		}
		for name := range out.Header() {
			if strings.HasPrefix(name, "Access-Control") || name == "Set-Cookie" {
				t.Errorf("%s %s: %s", c.method, c.path, name)
			}
		}
		if c.code == 421 && strings.Contains(out.Body.String(), "online") {
			t.Errorf("%q is told something", c.host)
		}
	}
	if !ours("node.example:1", "node.example") || ours("node.example:1", "other.example") || ours("", "") {
		t.Error("the name that the server was told to listen on")
	}
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Error(policy)
	}
}

// FuzzHost: a name that is not an address is let in only if it is localhost.
func FuzzHost(f *testing.F) {
	for _, seed := range []string{"", "localhost:1", "127.0.0.1", "[::1]:80", "[::1", "evil.example:80", "::1", "[evil]:1", "a@127.0.0.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if !ours(header, "") {
			return
		}
		name := strings.ToLower(header)
		if strings.HasPrefix(name, "localhost") || strings.HasPrefix(name, "[localhost]") {
			return
		}
		if at := strings.Trim(name, "[]"); net.ParseIP(at) != nil || strings.Contains(at, "%") {
			return
		}
		host, _, err := net.SplitHostPort(name)
		if err != nil || net.ParseIP(strings.Split(host, "%")[0]) == nil {
			t.Errorf("%q", header)
		}
	})
}

// TestStrangersWords: nothing that a peer says becomes part of the page's markup, or reaches a terminal as a command, and none of it is long.
func TestStrangersWords(t *testing.T) {
	words := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, "{{.PublicKey}}", "' onload='x", "</td></table></body>", "javascript:alert(1)",
		"\x1b[2J\x1b]0;title\x07", "a\u202eb\u2066c", "\u009b31m", "\xff\xfe", "zero\x00", "a\r\nb", strings.Repeat("long ", 10_000),
	}
	source := busy()
	source.now.Connections, source.now.Bans = nil, nil
	for i, w := range words {
		source.now.Connections = append(source.now.Connections, node.ConnectionInfo{Peer: key(i), UserAgent: w, Address: "/dns4/" + w + "/tcp/1", Direction: "inbound"})
		source.now.Bans = append(source.now.Bans, ban(key(i), time.Hour, w))
	}
	text := pageOf(t, source)
	plain := *busy()
	plain.now.Connections, plain.now.Bans = nil, nil
	for i := range words {
		plain.now.Connections = append(plain.now.Connections, node.ConnectionInfo{Peer: key(i), UserAgent: "x", Address: "x", Direction: "inbound"})
		plain.now.Bans = append(plain.now.Bans, ban(key(i), time.Hour, "x"))
	}
	harmless := pageOf(t, &plain)
	for _, mark := range []string{"<", ">", `"`, "'", "\r", "\x00", "\x1b", "\x07", "\u202e", "\u2066", "\u009b", "\ufffd"} {
		if got, want := strings.Count(text, mark), strings.Count(harmless, mark); got != want {
			t.Errorf("%q is %d times in the page, not %d times", mark, got, want)
		}
	}
	for _, want := range []string{"&lt;script&gt;alert(1)", "{{.PublicKey}}", `\x1b[2J`, `\u202e`, `\xff\xfe`, `\r\n`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not shown", want)
		}
	}
	if len(text) > 2*len(harmless) {
		t.Errorf("%d bytes instead of %d", len(text), len(harmless))
	}
}

// TestFlood: however many connections and bans there are, the page and the JSON stay what one can open, and say what they leave out.
func TestFlood(t *testing.T) {
	source := busy()
	source.now.Connections, source.now.Bans, source.now.Book.Banned = nil, nil, 30_000
	for i := range 3 * maxListed {
		source.now.Connections = append(source.now.Connections, node.ConnectionInfo{Peer: key(i), UserAgent: strings.Repeat("x", 50), Address: "/ip4/192.0.2.1/tcp/1", AgeSec: int64(i)})
		if i < 100 { // an Overview has no more
			source.now.Bans = append(source.now.Bans, ban(key(i), time.Hour, strings.Repeat("y", 100)))
		}
	}
	text := pageOf(t, source)
	if n := strings.Count(text, "<tr"); n > 2*maxRows+30 {
		t.Errorf("%d rows", n)
	}
	for _, want := range []string{"And 2800 more", "And 29900 more", `<dd>3000<small>`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if n := answer(t, source, request(http.MethodGet, JSONPath, "localhost")).Body.Len(); n > 1<<20 {
		t.Errorf("%d bytes of JSON", n)
	}
}

// TestRates: the source is asked every Interval whoever looks, the rates follow, and the history ends.
func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := busy()
		w := newWatch(source, 1)
		done := make(chan struct{})
		ctx := t.Context()
		go func() { defer close(done); w.run(ctx) }()
		for range 3 * steps {
			source.change(func(s *node.Overview) { s.Messages.Received += 10; s.Messages.Sent += 2 })
			time.Sleep(Interval)
			synctest.Wait()
		}
		if source.asked != 3*steps+1 || len(w.history) != steps+1 {
			t.Errorf("asked %d times, %d kept", source.asked, len(w.history))
		}
		r := w.history.rates(Interval)
		if len(r.Received) != steps || r.Received[steps-1] != 5 || r.Sent[0] != 1 {
			t.Errorf("%d rates, %v received, %v sent", len(r.Received), r.Received[steps-1], r.Sent[0])
		}
		body, err := w.last.Load().page()
		if err != nil || !strings.Contains(string(body), "in <b>5.0</b>") || !strings.Contains(string(body), "at most 5.0 in 5 min") {
			t.Error(err, "the page does not tell the rates")
		}
		t.Cleanup(func() { <-done })
	})
	if points([]float64{0, 4}, 4) != "298.0,59.0 300.0,3.0" || points(nil, 0) != "" || perSecond(5, 1, time.Second) != 0 {
		t.Error(points([]float64{0, 4}, 4))
	}
}

// serve is a Server on loopback.
func serve(t *testing.T, s Source) *Server {
	t.Helper()
	server, err := Serve("127.0.0.1:0", s, 1)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// TestServe: a client gets the page over the network; those that say nothing or do not read hold up neither others nor Close.
func TestServe(t *testing.T) {
	server := serve(t, busy())
	var deaf []net.Conn
	for i := range 4 {
		c, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n")
		}
		deaf = append(deaf, c)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Get("http://" + server.Addr().String() + PagePath)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(text), "online") || response.Header.Get("Content-Security-Policy") != policy {
		t.Errorf("%v, %v, %s", err, response.Header, text)
	}
	if _, err := Serve(server.Addr().String(), busy(), 1); err == nil || !strings.HasPrefix(err.Error(), "status page: ") {
		t.Errorf("the address is in use: %v", err)
	}
	began := time.Now()
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range deaf {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.Copy(io.Discard, c); err != nil && time.Since(began) > 50*time.Second {
			t.Error(err)
		}
	}
}

// TestBounds: the server's limits are set, all of them, and a client cannot send endless headers.
func TestBounds(t *testing.T) {
	if bounds.Connections > 32 || bounds.HeaderBytes > 16<<10 || bounds.HeaderTime > 5*time.Second || bounds.RequestTime > 10*time.Second || bounds.CloseTime > 200*time.Millisecond || bounds.IdleTime <= Interval {
		t.Errorf("%+v", bounds)
	}
	server := serve(t, busy())
	defer server.Close()
	c, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n")
		for range 1 << 10 {
			if _, err := io.WriteString(c, "X-Filler: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
				return
			}
		}
	}()
	answer := make([]byte, 64)
	n, _ := io.ReadAtLeast(c, answer, 12)
	if !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 431") {
		t.Errorf("%q", answer[:n])
	}
}

func TestTexts(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{visible("plain/1.0", 50), "plain/1.0"},
		{visible("äöü", 2), "äö…"},
		{visible("\x1b[0m", 50), `\x1b[0m`},
		{visible("", 5), ""},
		{visible("\ufffd\xff", 5), "\ufffd" + `\xff`},
		{tookText(640), "640 µs"},
		{tookText(1234), "1.2 ms"},
		{tookText(99_960), "100 ms"},
		{tookText(12_300_000), "12 s"},
		{ageText(59), "59 s"},
		{ageText(61), "1 min 1 s"},
		{ageText(7260), "2 h 1 min"},
		{ageText(90_000), "1 d 1 h"},
		{bytesText(5), "5 B"},
		{bytesText(1536), "1.5 KiB"},
		{bytesText(20 << 30), "20 GiB"},
		{untilText(time.Unix(0, 0), time.Unix(60, 0)), "for 1 min 0 s"},
		{untilText(time.Unix(0, 0), time.Unix(1<<33, 0)), "for ever"},
		{untilText(time.Unix(5, 0), time.Unix(0, 0)), "over"},
		{scaled(10), "1.0%"},
		{scaled(100_000_000), "100.0%"},
		{scaled(0), "1.0%"},
	} {
		if c.got != c.want {
			t.Errorf("%q, not %q", c.got, c.want)
		}
	}
}

// TestContrast: in both color schemes all texts can be read, by the rule of WCAG 2 (4.5 to 1).
func TestContrast(t *testing.T) {
	css, err := assets.ReadFile("assets/style.css")
	if err != nil {
		t.Fatal(err)
	}
	schemes := regexp.MustCompile(`:root \{([^}]*)\}`).FindAllStringSubmatch(string(css), -1)
	if len(schemes) != 2 {
		t.Fatalf("%d color schemes", len(schemes))
	}
	for i, scheme := range schemes {
		light := map[string]float64{}
		for _, c := range regexp.MustCompile(`--(\w+): #(\w{2})(\w{2})(\w{2});`).FindAllStringSubmatch(scheme[1], -1) {
			for part, weight := range []float64{0.2126, 0.7152, 0.0722} {
				value, err := strconv.ParseUint(c[2+part], 16, 8)
				if err != nil {
					t.Fatal(err)
				}
				light[c[1]] += weight * math.Pow((float64(value)/255+0.055)/1.055, 2.4) // near enough for dark colors too
			}
		}
		for name, least := range map[string]float64{"ink": 7, "soft": 4.5, "in": 4.5, "out": 4.5, "good": 4.5, "bad": 4.5} {
			for _, ground := range []string{"ground", "card"} {
				a, b := light[name]+0.05, light[ground]+0.05
				if ratio := max(a, b) / min(a, b); ratio < least {
					t.Errorf("scheme %d: %s on %s has a contrast of %.1f", i, name, ground, ratio)
				}
			}
		}
	}
}
