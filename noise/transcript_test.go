package noise

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/internal/transcript"
)

var update = flag.Bool("update", false, "write testdata/*.transcript and the seeds of the fuzz tests anew")

// said is a conversation after the handshake: who speaks, and how much in one Write.
var said = []struct {
	initiator bool
	size      int
}{
	{true, 1}, {false, 1}, {true, 33}, {true, 500}, {false, 4078}, {false, 4079}, {true, 5000},
}

// say returns what is said at a place in the conversation.
func say(i int) []byte {
	p := make([]byte, said[i].size)
	for j := range p {
		p[j] = byte(i + j)
	}
	return p
}

// talk has one side's part in the conversation.
func talk(t *testing.T, c *Conn, initiator bool) {
	for i, part := range said {
		if part.initiator == initiator {
			if _, err := c.Write(say(i)); err != nil {
				t.Errorf("part %d: %v", i, err)
				return
			}
			continue
		}
		got := make([]byte, part.size)
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, say(i)) {
			t.Errorf("part %d: read %x, %v", i, got, err)
			return
		}
	}
}

// TestTranscripts plays whole connections, handshake and frames, to both sides. The keys are those of the vectors, so that the
// handshakes are also what tari_comms says; with -update the frames are recorded anew.
func TestTranscripts(t *testing.T) {
	for _, v := range handshakeVectors(t) {
		name, _, _ := strings.Cut(strings.TrimPrefix(v.Pattern, "Noise_"), "_")
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", strings.ToLower(name)+".transcript")
			if *update {
				comment := v.Pattern + ": a preamble, the handshake of vector \"" + v.Name + "\", and frames after it."
				if err := transcript.Save(path, comment, record(t, v)); err != nil {
					t.Fatal(err)
				}
			}
			flows, err := transcript.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			checkHandshake(t, v, flows)
			for _, side := range []transcript.Side{transcript.Initiator, transcript.Responder} {
				replay := transcript.NewReplay(flows, side)
				converse(t, v, replay, side == transcript.Initiator)
				if err := replay.Done(); err != nil {
					t.Errorf("%c: %v", side, err)
				}
			}
		})
	}
}

// preamble is the one byte that comes before Noise in the transcripts.
var preamble = []byte{0x42}

// converse does one side of the whole connection.
func converse(t *testing.T, v vector, c net.Conn, initiator bool) {
	client, server := v.configs(t)
	var conn *Conn
	var err error
	if initiator {
		client.Preamble = preamble
		conn, err = Client(context.Background(), c, client)
	} else {
		got := make([]byte, len(preamble))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, preamble) {
			t.Errorf("preamble %x, %v", got, err)
			return
		}
		conn, err = Server(context.Background(), c, server)
	}
	if err != nil {
		t.Error(err)
		return
	}
	talk(t, conn, initiator)
}

// record holds the conversation between our own two sides.
func record(t *testing.T, v vector) []transcript.Flow {
	a, b := tcpPair(t)
	recorder := transcript.Record(a, transcript.Initiator)
	done := make(chan struct{})
	go func() {
		defer close(done)
		converse(t, v, b, false)
	}()
	converse(t, v, recorder, true)
	<-done
	return recorder.Flows()
}

// checkHandshake compares the beginning of a transcript with the vector's messages.
func checkHandshake(t *testing.T, v vector, flows []transcript.Flow) {
	t.Helper()
	if len(flows) < len(v.Messages) {
		t.Fatalf("%d flows", len(flows))
	}
	for i, message := range v.Messages {
		want := []byte(message)
		if i == 0 {
			want = append(bytes.Clone(preamble), want...)
		}
		if !bytes.HasPrefix(flows[i].Bytes, want) {
			t.Errorf("flow %d is %x, want it to begin with %x", i, flows[i].Bytes, want)
		}
	}
}
