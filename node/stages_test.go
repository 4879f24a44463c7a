package node

import (
	"errors"
	"testing"
	"time"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
)

// times of a stage, in an Overview.
func times(t *testing.T, o Overview, stage string) StageTimes {
	t.Helper()
	for _, s := range o.Stages {
		if s.Stage == stage {
			return s
		}
	}
	t.Fatalf("no %s in %+v", stage, o.Stages)
	return StageTimes{}
}

// TestStageTimes: both ends of a connection know how long its stages took, each those that it has.
func TestStageTimes(t *testing.T) {
	them := startNode(t, Config{Listen: loopback(), AllowTestAddresses: true})
	us := startNode(t, Config{AllowTestAddresses: true})
	if _, err := us.Send(testContext(t), them.addresses()[0], []byte("x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection at the other end", func() bool { return times(t, them.Overview(), dialect.StageMuxer).Passed == 1 })
	for name, c := range map[string]struct {
		n      *Node
		passed [len(stageOrder)]int
	}{
		"who dialed":     {us, [...]int{1, 0, 1, 1, 1, 1}},
		"who was dialed": {them, [...]int{0, 1, 1, 1, 1, 1}},
	} {
		for i, s := range c.n.Overview().Stages {
			if s.Stage != stageOrder[i] || s.Passed != c.passed[i] || s.Failed != 0 || s.MedianUS > s.P90US || s.Stage == StageConnect && s.Passed > 0 && s.MedianUS == 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
	// Where nobody listens, connect fails; where somebody else is, Noise.
	nobody := them.addresses()[0]
	them.Close()
	other := startNode(t, Config{Listen: loopback(), AllowTestAddresses: true})
	eventually(t, "no connection", func() bool { return len(us.Host.Network().Conns()) == 0 })
	if _, err := us.Send(testContext(t), other.addresses()[0], []byte("x")); err != nil { // without any connection a failure says nothing
		t.Fatal(err)
	}
	eventually(t, "connectivity knows of it", func() bool { return us.Connectivity.Status().Nodes == 1 })
	if _, err := us.Dial(testContext(t), nobody); err == nil {
		t.Fatal("reached nobody")
	}
	unreached := times(t, us.Overview(), StageConnect)
	if unreached.Failed == 0 || unreached.Passed != 2 { // one for each address that the book knows
		t.Errorf("%+v", unreached)
	}
	wrong := tari.Address{Key: startNode(t, Config{}).Identity.Key.Public(), Addrs: other.Host.Addrs()}
	if _, err := us.Dial(testContext(t), wrong.String()); err == nil {
		t.Fatal("reached somebody else")
	}
	if s := times(t, us.Overview(), dialect.StageNoise); s.Failed != 1 || s.Passed != 2 {
		t.Errorf("%+v", s)
	}
	if s := times(t, us.Overview(), StageConnect); s.Passed != 3 { // of the failed ones there may be more: the node itself looks for whom it lost
		t.Errorf("a handshake that failed counts as nobody reached: %+v", s)
	}
}

// TestStageLog: median, nine of ten, and no more than the last outcomes.
func TestStageLog(t *testing.T) {
	var l stageLog
	for us := range int64(10) {
		l.note(Event{Stages: []Stage{{Name: dialect.StageNoise, TookUS: 10 - us}, {Name: "made up", TookUS: 1}}})
	}
	l.note(Event{Kind: EventReady})
	if got := l.all()[2]; got != (StageTimes{Stage: dialect.StageNoise, Passed: 10, MedianUS: 5, P90US: 9}) {
		t.Errorf("%+v", got)
	}
	for range stageTimesKept - 1 {
		l.note(Event{Stages: []Stage{{Name: dialect.StageNoise, TookUS: 7, Error: "no"}}})
	}
	if got := l.all()[2]; got.Passed != 1 || got.Failed != stageTimesKept-1 || got.MedianUS != 1 || got.P90US != 1 {
		t.Errorf("%+v", got)
	}
	l.unreached(&tari.UpgradeError{Err: errors.New("told already")})
	l.unreached(&tari.UnfinishedError{Done: dialect.StageNoise, Took: time.Minute, Err: errors.New("too late")})
	l.unreached(&tari.UnfinishedError{Took: time.Minute, Err: errors.New("too late")})
	l.unreached(errors.New("connection refused"))
	if got := l.all()[0]; got != (StageTimes{Stage: StageConnect, Failed: 2}) {
		t.Errorf("%+v", got)
	}
}
