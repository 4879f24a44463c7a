package browsertest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// patience is how long a test waits for what must come; it is long because machines can be slow.
const patience = 3 * time.Minute

// browserPath finds a browser. Without one CI fails, and a person reads why the test is skipped.
func browserPath(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no browser: apt-get install --no-install-recommends chromium")
	}
	t.Skip("skipped: no chromium or chrome is installed (Debian: apt-get install chromium)")
	return ""
}

// startBrowser starts a browser of its own, without a profile, and ends it with the test. For it, the name evil.example is this machine.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(browserPath(t)),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("host-resolver-rules", "MAP evil.example 127.0.0.1"),
		chromedp.Flag("no-proxy-server", true),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // the browser refuses to have one as root
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	ctx, end := chromedp.NewExecAllocator(ctx, options...)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // asks the browser to close
		end()                    // ends its process, and waits for that
		cancel()
	})
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal("the browser does not start: ", err)
	}
	return ctx
}

// tab is a page in the browser, and all that went wrong in it.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	trouble  []string // errors of scripts, of the console, of the network
	requests []string // URLs
}

// newTab opens an empty tab.
func newTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	one := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, one.event); err != nil {
		t.Fatal(err)
	}
	call(one, network.Enable, network.EnableParams{})
	call(one, log.Enable, cdp.Empty{})
	call(one, runtime.Enable, cdp.Empty{})
	call(one, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `window.violations = []; addEventListener("securitypolicyviolation", e => violations.push(e.violatedDirective + " " + e.blockedURI))`,
	})
	return one
}

// call calls a command of the browser's protocol, which must go well.
func call[P, R any](o *tab, command cdp.Command[P, R], params P) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, command, params); err != nil {
		o.t.Fatal(err)
	}
}

func (o *tab) event(e any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch e := e.(type) {
	case *runtime.EventExceptionThrown:
		o.trouble = append(o.trouble, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		o.trouble = append(o.trouble, "console: "+e.Type.String())
	case *log.EventEntryAdded:
		o.trouble = append(o.trouble, string(e.Entry.Source)+": "+e.Entry.Text)
	case *network.EventLoadingFailed:
		o.trouble = append(o.trouble, "loading: "+e.ErrorText)
	case *page.EventJavascriptDialogOpening:
		o.trouble = append(o.trouble, "dialog: "+e.Message)
	case *network.EventRequestWillBeSent:
		o.requests = append(o.requests, e.Request.URL)
	}
}

// do does what must go well, in time.
func (o *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		o.t.Fatal(err)
	}
}

// get is what an action gives.
func get[T any](o *tab, action chromedp.Action[T]) T {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, patience)
	defer cancel()
	out, err := chromedp.Run(ctx, action)
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

// text is what an expression in the page gives.
func (o *tab) text(expression string) string {
	o.t.Helper()
	return get(o, chromedp.Evaluate[string]("String("+expression+")"))
}

// html is the whole page, by means that need no script in it.
func (o *tab) html() string {
	o.t.Helper()
	return get(o, func(ctx context.Context, in *chromedp.Target) (string, error) {
		for {
			document, err := cdp.Call(ctx, in, dom.GetDocument, dom.GetDocumentParams{})
			if err != nil {
				return "", err
			}
			out, err := cdp.Call(ctx, in, dom.GetOuterHTML, dom.GetOuterHTMLParams{NodeID: document.Root.NodeID})
			if err == nil || ctx.Err() != nil {
				return out.OuterHTML, err
			} // the page came anew in between, and what was asked for is gone
		}
	})
}

// htmlWith waits until a text is in the page, which comes anew by itself.
func (o *tab) htmlWith(text string) string {
	o.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if html := o.html(); strings.Contains(html, text) {
			return html
		}
	}
	o.t.Fatalf("waited for %s; the page: %s", text, o.html())
	return ""
}

// until waits for an expression in the page to be true. It is asked from outside, as the page's policy lets nobody wait within it.
func (o *tab) until(what, expression string) {
	o.t.Helper()
	for end := time.Now().Add(patience); o.text("!!("+expression+")") != "true"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			o.t.Fatalf("waited for %s; trouble: %q; the page: %s", what, o.troubles(), o.text("document.body.innerText"))
		}
	}
}

func (o *tab) troubles() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.trouble)
}

// clean fails if anything went wrong in the tab, or if it has asked anybody but origin for something.
func (o *tab) clean(origin string) {
	o.t.Helper()
	if bad := o.troubles(); len(bad) > 0 {
		o.t.Errorf("went wrong: %q", bad)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, url := range o.requests {
		if !strings.HasPrefix(url, origin) {
			o.t.Errorf("asked for %s", url)
		}
	}
	if len(o.requests) == 0 {
		o.t.Error("no request was seen: the test sees nothing")
	}
}

// binFolder is where the command is built; TestMain makes it and removes it.
var binFolder string

// build builds the command, once.
var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binFolder, "tari-libp2p")
	run := exec.Command("go", "build", "-o", path, "./cmd/tari-libp2p")
	run.Dir = filepath.Join("..", "..", "..")
	run.Stderr = os.Stderr
	return path, run.Run()
})

// program is the real command under way.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	path  string
	dir   string
	peer  string // PUBKEY::ADDRESS
	url   string // of its page
	ended chan error
}

// startProgram builds the command and runs a node that serves its page.
func startProgram(t *testing.T, args ...string) *program {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, path: path, dir: t.TempDir(), ended: make(chan error, 1)}
	p.cmd = exec.Command(path, append([]string{
		"run", "--json", "--network", "localnet", "--data-dir", p.dir, "--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip6/::1/tcp/0",
		"--allow-test-addresses", "--no-dns-seeds", "--web=0",
	}, args...)...)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	lines := bufio.NewScanner(out)
	for p.url == "" && lines.Scan() {
		var e struct {
			Event, Address string
			Addresses      []string
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		switch e.Event {
		case "ready":
			p.peer = e.Addresses[0]
		case "web":
			p.url = e.Address
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, out)
		p.ended <- p.cmd.Wait()
	}()
	if p.url == "" {
		t.Fatal("the node did not say where its page is")
	}
	return p
}

// stop ends the program as Ctrl-C does.
func (p *program) stop() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-p.ended:
		if err != nil {
			p.t.Error(err)
		}
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		p.t.Error("the node does not end")
	}
}

// command runs another command on the program's node, which must go well.
func (p *program) command(args ...string) {
	p.t.Helper()
	if err := p.try(args...); err != nil {
		p.t.Fatal(err)
	}
}

// try is command for what may fail.
func (p *program) try(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, p.path, append(args, "--network", "localnet", "--data-dir", p.dir)...).CombinedOutput(); err != nil {
		return fmt.Errorf("%q: %w: %s", args, err, out)
	}
	return nil
}

// startPeer starts a node in this process.
func startPeer(t *testing.T, agent string) *node.Node {
	t.Helper()
	n, err := node.New(node.Config{Network: dialect.Localnet, UserAgent: agent, AllowTestAddresses: true, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

// send sends messages from a peer to the program.
func send(t *testing.T, from *node.Node, to string, messages int) {
	t.Helper()
	for range messages {
		if _, err := from.Send(t.Context(), to, make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
	}
}
