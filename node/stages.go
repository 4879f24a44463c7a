package node

import (
	"errors"
	"slices"
	"sync"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
)

// stageTimesKept is how many outcomes of each stage are kept for StageTimes: our choice.
const stageTimesKept = 256

// stageOrder is the way of a connection. Only those that we dial begin with StageConnect, and only those of others with StageWire: our own
// wire byte travels with Noise's first message.
var stageOrder = [...]string{
	StageConnect, dialect.StageWire, dialect.StageNoise, dialect.StageAdmit, dialect.StageIdentity, dialect.StageMuxer,
}

// StageTimes is how a stage of connections went, the last 256 times.
type StageTimes struct {
	Stage    string `json:"stage"`
	Passed   int    `json:"passed"`
	Failed   int    `json:"failed"`    // of connect: addresses of peers where nobody was reached
	MedianUS int64  `json:"median_us"` // of those that passed; 0 if none did
	P90US    int64  `json:"p90_us"`    // what nine of ten of them kept to
}

// stageLog keeps how the stages of connections went lately. The zero value is ready.
type stageLog struct {
	mu   sync.Mutex
	last [len(stageOrder)]struct {
		outcomes []int64 // µs, or stageFailed; a ring once it is full
		next     int
	}
}

// stageFailed stands for the time of a stage that failed.
const stageFailed = -1

// note keeps the stages of an event.
func (l *stageLog) note(e Event) {
	if len(e.Stages) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range e.Stages {
		took := s.TookUS
		if s.Error != "" {
			took = stageFailed
		}
		l.put(s.Name, took)
	}
}

// unreached keeps that a dial of one address failed for this cause, unless a handshake that failed has told it already.
func (l *stageLog) unreached(cause error) {
	var unfinished *tari.UnfinishedError
	if errors.As(cause, new(*tari.UpgradeError)) || errors.As(cause, new(*dialect.StageError)) || errors.As(cause, &unfinished) && unfinished.Done != "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(StageConnect, stageFailed)
}

func (l *stageLog) put(stage string, took int64) {
	i := slices.Index(stageOrder[:], stage)
	if i < 0 {
		return // of plain libp2p
	}
	ring := &l.last[i]
	if len(ring.outcomes) < stageTimesKept {
		ring.outcomes = append(ring.outcomes, took)
		return
	}
	ring.outcomes[ring.next] = took
	ring.next = (ring.next + 1) % stageTimesKept
}

// all are the stages in the order of stageOrder, seen or not.
func (l *stageLog) all() (out []StageTimes) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, name := range stageOrder {
		took := slices.DeleteFunc(slices.Clone(l.last[i].outcomes), func(us int64) bool { return us == stageFailed })
		slices.Sort(took)
		t := StageTimes{Stage: name, Passed: len(took), Failed: len(l.last[i].outcomes) - len(took)}
		if n := len(took); n > 0 {
			t.MedianUS, t.P90US = took[(n-1)/2], took[(n*9+9)/10-1]
		}
		out = append(out, t)
	}
	return out
}
