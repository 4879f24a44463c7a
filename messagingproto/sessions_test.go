package messagingproto

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// A recordedStream is one messaging stream between two peers of tari_comms,
// 0.8.1 (seed) or 6.3.0-pre.2 (modern), without its negotiation.
type recordedStream struct {
	Dialect  string      `json:"dialect"`
	Protocol protocol.ID `json:"protocol"`
	OpenedBy string      `json:"opened_by"`
	Frames   string      `json:"frames"`
	Messages []string    `json:"messages"`
}

func recordedStreams(t *testing.T) []recordedStream {
	t.Helper()
	data, err := os.ReadFile("testdata/sessions.json")
	if err != nil {
		t.Fatal(err)
	}
	var streams []recordedStream
	if err := json.Unmarshal(data, &streams); err != nil {
		t.Fatal(err)
	}
	if len(streams) == 0 {
		t.Fatal("no recorded streams")
	}
	return streams
}

// What peers of tari_comms sent arrives as what they meant, whatever the pieces.
func TestReceiveRecorded(t *testing.T) {
	for _, rec := range recordedStreams(t) {
		data, err := hex.DecodeString(rec.Frames)
		if err != nil {
			t.Fatal(err)
		}
		for piece := 1; piece <= len(data); piece++ {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t)
				s := r.open(rec.Protocol)
				for part := range slices.Chunk(data, piece) {
					s.Write(part)
					synctest.Wait()
				}
				if got := r.in.all(); !slices.Equal(got, rec.Messages) {
					t.Errorf("%s, opened by the %s: got %q, want %q", rec.Dialect, rec.OpenedBy, got, rec.Messages)
				}
			})
		}
	}
}

// The same messages sent by us are the same bytes.
func TestSendRecorded(t *testing.T) {
	for _, rec := range recordedStreams(t) {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeNet()
			a := newService(t, f.host("a"), Config{})
			var got bytes.Buffer
			f.host("b").SetStreamHandler(rec.Protocol, func(s network.Stream) { got.ReadFrom(s) })
			for _, m := range rec.Messages {
				if err := a.Send(t.Context(), "b", []byte(m)); err != nil {
					t.Fatal(err)
				}
			}
			a.Close()
			synctest.Wait()
			if hex.EncodeToString(got.Bytes()) != rec.Frames {
				t.Errorf("%s: sent %x, recorded %s", rec.Dialect, got.Bytes(), rec.Frames)
			}
		})
	}
}
