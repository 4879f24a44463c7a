package rpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/types/known/wrapperspb"
)

// written is what an outflow wrote, and how often.
type written struct {
	bytes.Buffer
	writes int
	err    error
}

func (w *written) write(b []byte) error {
	w.writes++
	w.Write(b)
	return w.err
}

func sized(n int) *wrapperspb.BytesValue { return wrapperspb.Bytes(make([]byte, n)) }

// A handler whose items are enough for a write makes it itself; small ones, and the end, are left to the session. All is in order.
func TestHandlerWrites(t *testing.T) {
	var w written
	o := newOutflow(7, 1<<20, nil, w.write)
	sizes := []int{10, enough, 20, 30, enough / 2, enough / 2, 40}
	for i, writes := range []int{0, 1, 1, 1, 1, 2, 2} {
		if err := o.item(t.Context(), sized(sizes[i])); err != nil || w.writes != writes {
			t.Errorf("item %d: %v, %d writes, want %d", i, err, w.writes, writes)
		}
	}
	if o.flush() || w.writes != 3 {
		t.Errorf("%d writes before the end", w.writes)
	}
	_ = o.fin()
	for range 2 {
		if !o.flush() || w.writes != 4 {
			t.Errorf("%d writes after the end", w.writes)
		}
	}
	f := frames{r: &w, limit: 1 << 20}
	for _, size := range sizes {
		b, err := f.next()
		if err != nil {
			t.Fatal(err)
		}
		r, err := parseResponse(b)
		got := new(wrapperspb.BytesValue)
		if err == nil {
			err = decode(r.Payload, got, defaultBudget, false)
		}
		if err != nil || r.ID != 7 || r.Flags != 0 || len(got.Value) != size {
			t.Errorf("an item of %d: %v, id %d, flags %d, %d bytes", size, err, r.ID, r.Flags, len(got.Value))
		}
	}
	if b, err := f.next(); err != nil || !bytes.Equal(b, response{ID: 7, Flags: flagFIN}.append(nil)) {
		t.Errorf("the end: %x, %v", b, err)
	}
	if _, err := f.next(); err != io.EOF {
		t.Error(err)
	}
}

// A write of the handler's that fails is what it and the session are told, and the last.
func TestHandlerWriteFails(t *testing.T) {
	w := written{err: errors.New("test")}
	o := newOutflow(7, 1<<20, nil, w.write)
	for _, size := range []int{enough, 10} {
		_ = o.item(t.Context(), sized(size))
	}
	<-o.ready
	if err := o.item(t.Context(), sized(enough)); err != w.err || !o.flush() || o.failed != w.err || w.writes != 1 {
		t.Errorf("%v, %v, %d writes", err, o.failed, w.writes)
	}
}

// While a handler writes, the session does not, and none of the deadline goes by; what came meanwhile the session is told of. A
// handler whose call is cancelled writes nothing more.
func TestHandlerIsWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		goOn, done := make(chan struct{}), make(chan error)
		var w written
		o := newOutflow(7, 1<<20, nil, func(b []byte) error {
			<-goOn
			return w.write(b)
		})
		go func() { done <- o.item(ctx, sized(enough)) }()
		synctest.Wait()
		o.fail(&Status{Timeout, "late"})
		<-o.ready
		if o.flush() || o.left(second) != second {
			t.Errorf("the session wrote as well, or %v are left", o.left(second))
		}
		close(goOn)
		if err := <-done; err != nil {
			t.Error(err)
		}
		<-o.ready
		if !o.flush() || w.writes != 2 {
			t.Errorf("%d writes", w.writes)
		}
		if err := o.item(ctx, sized(enough)); err != errLate {
			t.Error(err)
		}

		o = newOutflow(7, 1<<20, nil, w.write)
		cancel()
		for range maxOutflow/enough + 1 {
			_ = o.item(ctx, sized(enough))
		}
		if err := o.item(ctx, sized(enough)); err != context.Canceled || w.writes != 2 {
			t.Errorf("%v, %d writes", err, w.writes)
		}
	})
}
