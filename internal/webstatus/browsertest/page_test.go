package browsertest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

const (
	hostileAgent  = `<script>document.title="owned"</script>`
	hostileReason = `"><img src=x onerror="document.title='owned'">`
	stranger      = "704ee6eb7c568c9c4220c92a3124bb69a53c05ec2ffd3ab06f4f78ddfde6b175"
)

// TestLive: the page shows two peers, one of them hostile, and follows what happens without being loaded anew.
func TestLive(t *testing.T) {
	browser := startBrowser(t)
	us := startProgram(t)
	hostile, friend := startPeer(t, hostileAgent), startPeer(t, "friend/1.0")
	send(t, hostile, us.peer, 1)
	tab := newTab(t, browser)
	tab.do(chromedp.Navigate(us.url))
	tab.text("window.here = true")
	tab.until("the first peer", `document.querySelectorAll("#connections tbody tr").length === 1`)
	send(t, friend, us.peer, 1)
	tab.until("the second peer", `document.querySelectorAll("#connections tbody tr").length === 2`)
	if agents := tab.text(`[...document.querySelectorAll("#connections [data-label=Agent]")].map(e => e.textContent).sort().join(" ")`); agents != hostileAgent+" friend/1.0" {
		t.Errorf("agents: %s", agents)
	}

	send(t, friend, us.peer, 40)
	tab.until("a rate above 0", `parseFloat(document.querySelector("#rates .in b").textContent) > 0`)
	tab.until("all messages", `document.querySelector("#now").textContent.includes("received42")`)
	tab.until("a line that has risen", `document.querySelector("#rates polyline.in").getAttribute("points").split(" ").some(p => parseFloat(p.split(",")[1]) < 40)`)
	us.command("ban", stranger, "--reason", hostileReason)
	tab.until("the ban", `document.querySelectorAll("#bans tbody tr").length === 1`)
	if reason := tab.text(`document.querySelector("#bans [data-label=Reason]").textContent`); reason != hostileReason {
		t.Errorf("reason: %s", reason)
	}
	if stages := tab.text(`[...document.querySelectorAll("#way tbody tr")].filter(r => r.cells[3].textContent === "2").length`); stages != "5" {
		t.Errorf("%s stages passed twice: %s", stages, tab.text(`document.querySelector("#way table").innerText`))
	}

	if title := tab.text("document.title"); title != "online – tari-libp2p" {
		t.Errorf("title %q", title)
	}
	if n := tab.text(`document.scripts.length + " " + document.images.length + " " + window.violations.join() + " " + window.here`); n != "1 0  true" {
		t.Errorf("scripts, images, violations, whether it is the same page: %s", n)
	}
	for _, width := range []int64{320, 390, 768, 1280} {
		tab.do(chromedp.EmulateViewport(width, 800))
		if over := tab.text("document.documentElement.scrollWidth - innerWidth"); over != "0" && !strings.HasPrefix(over, "-") {
			t.Errorf("at a width of %d the page is wider by %s", width, over)
		}
	}
	tab.clean(us.url)

	us.stop()
	tab.until("that the node has gone is told", `document.getElementById("note").textContent.includes("does not answer")`)
}

// TestWithoutScripts: the tables are there, and the page comes anew.
func TestWithoutScripts(t *testing.T) {
	browser := startBrowser(t)
	us := startProgram(t)
	friend := startPeer(t, "friend/1.0")
	send(t, friend, us.peer, 1)
	tab := newTab(t, browser)
	call(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	tab.do(chromedp.Navigate(us.url))
	html := tab.htmlWith(friend.Identity.String())
	for _, want := range []string{"friend/1.0", "inbound", "Nobody is banned.", us.peer} {
		if !strings.Contains(html, want) {
			t.Errorf("no %s without scripts", want)
		}
	}
	us.command("ban", stranger)
	tab.htmlWith(stranger)
	tab.clean(us.url)
}

// TestOtherPages: a page of somebody else in the same browser learns nothing: not by our address, not by a name of its own that leads here, not in
// a frame, not as a script.
func TestOtherPages(t *testing.T) {
	browser := startBrowser(t)
	us := startProgram(t)
	_, port, _ := strings.Cut(strings.TrimSuffix(us.url, "/"), "127.0.0.1:")
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><title>wait</title><body><iframe src="%[1]s"></iframe><script>
const tell = (what, got) => { window[what] = got; };
fetch("%[1]sstatus.json").then(r => r.text()).then(() => tell("cors", "read"), () => tell("cors", "nothing"));
fetch("%[1]sstatus.json", { mode: "no-cors" }).then(() => tell("opaque", "an answer"), () => tell("opaque", "nothing"));
const ours = document.createElement("script");
ours.onload = () => tell("script", "ran");
ours.onerror = () => tell("script", "nothing");
ours.src = "%[1]slive.js";
document.body.append(ours);
</script>`, us.url)
	}))
	defer evil.Close()
	tab := newTab(t, browser)
	tab.do(chromedp.Navigate(strings.Replace(evil.URL, "127.0.0.1", "localhost", 1)))
	tab.until("answers", `window.cors && window.opaque && window.script`)
	if got := tab.text(`cors + ", " + opaque + ", " + script`); got != "nothing, nothing, nothing" {
		t.Error(got)
	}
	if !strings.Contains(strings.Join(tab.troubles(), " "), "frame-ancestors") {
		t.Errorf("the frame: %q", tab.troubles())
	}

	rebound := newTab(t, browser)
	response, err := chromedp.RunResponse(rebound.ctx, chromedp.Navigate("http://evil.example:"+port+"/status.json"))
	if err != nil {
		t.Fatal(err)
	}
	if body := rebound.text("document.body.innerText"); response.Status != http.StatusMisdirectedRequest || strings.Contains(body, "public_key") {
		t.Errorf("%d: %s", response.Status, body)
	}
}
