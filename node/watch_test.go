package node

import (
	"testing"
)

// A watcher that takes nothing costs a bounded memory and is told what it missed.
func TestASlowWatcher(t *testing.T) {
	var w watchers
	one, err := w.add()
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, maxWatchBytes/4)
	for range watchBuffer + 7 {
		w.tell(Event{Kind: EventMessage, Message: body})
	}
	body[0] = 1 // ours again
	events, missed, over := one.take()
	whole := 0
	for _, e := range events {
		if e.Message != nil {
			whole++
			if e.Message[0] != 0 {
				t.Error("an event shares its message with others")
			}
		}
	}
	if len(events) != watchBuffer || missed != 7 || over || whole != 4 {
		t.Errorf("%d events, %d whole, %d missed, over: %v", len(events), whole, missed, over)
	}
	if events, missed, _ := one.take(); len(events) != 0 || missed != 0 {
		t.Errorf("then %d events, %d missed", len(events), missed)
	}
	w.close()
	if _, _, over := one.take(); !over {
		t.Error("the end was not told")
	}
	late, err := w.add()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, over := late.take(); !over {
		t.Error("a watcher of a closed node waits")
	}
}

func TestTooManyWatchers(t *testing.T) {
	var w watchers
	var last *watcher
	for range maxWatchers {
		one, err := w.add()
		if err != nil {
			t.Fatal(err)
		}
		last = one
	}
	if _, err := w.add(); FailureOf(err).Kind != FailRefused {
		t.Errorf("one more: %v", err)
	}
	w.remove(last)
	if _, err := w.add(); err != nil {
		t.Error(err)
	}
}
