package crawl

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/internal/crawltest"
)

func withStop(t testing.TB) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(patient(t))
}

// childEnv makes the test program a crawl of its own: its value is where to begin and the journal, as JSON.
const childEnv = "TARI_LIBP2P_CRAWL"

// crawlsOnBehalf runs the crawl that TestKill starts; false in the test itself.
func crawlsOnBehalf() bool {
	text := os.Getenv(childEnv)
	if text == "" {
		return false
	}
	var job struct{ Start, Journal string }
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		panic(err)
	}
	start, err := tari.ParseAddress(job.Start)
	if err != nil {
		panic(err)
	}
	h, err := tari.New(tari.Config{Network: dialect.Localnet, AllowTestAddresses: true})
	if err != nil {
		panic(err)
	}
	h.SetFeatures(identityproto.FeatureClient)
	result, err := Run(context.Background(), h, Config{
		Start: []tari.Address{start}, AllowTestAddresses: true, Parallel: killedParallel, Journal: job.Journal, Network: "localnet",
	})
	h.Close()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(len(result.Peers))
	return true
}

// killedParallel is how many visits are under way when a crawl is killed.
const killedParallel = 8

// TestKill: a crawl of 200 that is killed again and again, in the middle, goes on
// where it was: nobody is lost, and only who was being asked is asked again.
func TestKill(t *testing.T) {
	s := new(crawltest.Crowd)
	nodes := s.Network(t, "127.0.1", 200)
	journal := filepath.Join(t.TempDir(), "journal")
	job, err := json.Marshal(map[string]string{"Start": nodes[0].At().String(), "Journal": journal})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	asked := func() (sum, twice int) {
		for _, n := range nodes {
			_, n := n.Counts()
			sum, twice = sum+n, twice+max(0, n-1)
		}
		return sum, twice
	}
	crawl := func() *exec.Cmd {
		child := exec.Command(self)
		child.Env = append(os.Environ(), childEnv+"="+string(job))
		return child
	}
	kills := 0
	for range 6 {
		reached, goOn := s.Stop(20)
		child := crawl()
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-reached:
		case <-patient(t).Done():
			t.Error("it asks nobody")
		}
		_ = child.Process.Kill()
		if child.Wait() == nil {
			t.Error("the crawl was done before it was killed")
		}
		close(goOn)
		kills++
	}
	if out, err := crawl().CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sum, twice := asked()
	if twice > kills*killedParallel || sum-twice != len(nodes) {
		t.Errorf("asked %d times, %d of them not for the first time, in a crawl that was killed %d times", sum, twice, kills)
	}
	k := newKnown(true)
	j, err := openJournal(journal, func(e entry) error { return k.apply(e, time.Now()) })
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	answered := 0
	for _, p := range k.peers {
		if p.finished() && p.Visit.Class == Answered && p.Claim.VerifySignature(time.Now()) == nil {
			answered++
		}
	}
	if len(k.peers) != len(nodes) || answered != len(nodes) {
		t.Errorf("%d peers, %d of them answered", len(k.peers), answered)
	}
	t.Logf("%d kills, %d asked again", kills, twice)
}
