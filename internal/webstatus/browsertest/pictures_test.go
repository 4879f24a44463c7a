package browsertest

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	tari "github.com/tari-libp2p/tari-libp2p"
)

// TestPictures makes the pictures of docs/operating.md, in the folder that is named by TARI_LIBP2P_PICTURES.
func TestPictures(t *testing.T) {
	dir := os.Getenv("TARI_LIBP2P_PICTURES")
	if dir == "" {
		t.Skip("only on demand: TARI_LIBP2P_PICTURES names the folder for them")
	}
	browser := startBrowser(t)
	us := startProgram(t)
	var peers []string
	for i, agent := range []string{"tari-libp2p/v0.3.0", "tari/basenode/5.3.1", "tari/console_wallet/5.3.0", hostileAgent} {
		peer := startPeer(t, agent)
		at := tari.Address{Key: peer.Identity.Key.Public(), Addrs: peer.Host.Addrs()}
		peers = append(peers, at.String())
		if i%2 == 0 {
			defer keep(func() { send(t, peer, us.peer, 1) }, time.Duration(i+1)*90*time.Millisecond)()
		} else {
			us.command("dial", at.String())
		}
	}
	defer keep(func() { _ = us.try("send", peers[1], "hello") }, time.Second)()
	gone := startPeer(t, "gone")
	_, elsewhere, _ := strings.Cut(peers[3], "::")
	for _, nobody := range []string{gone.Identity.String() + "::" + elsewhere, gone.Identity.String() + "::" + gone.Host.Addrs()[0].String()} {
		gone.Close()
		if us.try("dial", nobody) == nil {
			t.Error("reached ", nobody)
		}
	}
	us.command("ban", stranger, "--for", "12h", "--reason", "sent garbage")
	us.command("ban", gone.Identity.String(), "--for", "forever")
	tab := newTab(t, browser)
	tab.do(chromedp.Navigate(us.url))
	time.Sleep(100 * time.Second) // for the line of the rates
	for _, p := range []struct {
		name, scheme  string
		width, height int64
	}{{"status-light", "light", 1180, 800}, {"status-dark", "dark", 1180, 800}, {"status-phone", "light", 390, 800}} {
		call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: p.scheme}}})
		tab.do(chromedp.EmulateViewport(p.width, p.height))
		writePicture(t, filepath.Join(dir, p.name+".png"), get(tab, chromedp.FullScreenshot(100)))
	}
}

// writePicture writes a picture with the 256 colors that it has most of, and as small as PNG can be.
func writePicture(t *testing.T, path string, screenshot []byte) {
	t.Helper()
	whole, err := png.Decode(bytes.NewReader(screenshot))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[color.Color]int{}
	for y := range whole.Bounds().Dy() {
		for x := range whole.Bounds().Dx() {
			counts[whole.At(x, y)]++
		}
	}
	most := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return counts[b] - counts[a] })
	small := image.NewPaletted(whole.Bounds(), most[:min(len(most), 256)])
	draw.Draw(small, small.Rect, whole, image.Point{}, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 150<<10 {
		t.Errorf("%s has %d bytes", path, out.Len())
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// keep does something again and again, now more and now less often, until stop is called.
func keep(do func(), every time.Duration) (stop func()) {
	ended := make(chan struct{})
	var doing sync.WaitGroup
	doing.Go(func() {
		for i := 0; ; i++ {
			do()
			select {
			case <-time.After(every * time.Duration(1+i/20%4)):
			case <-ended:
				return
			}
		}
	})
	return func() { close(ended); doing.Wait() }
}
