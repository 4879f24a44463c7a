package yamux

import (
	"runtime"
	"sync"
	"testing"
	"time"
	"weak"
)

// An ended session is not kept in memory until CloseTimeout is over: with thousands of strangers that come and go it adds up.
func TestNothingKeepsAnEndedSession(t *testing.T) {
	cfg := Config{CloseTimeout: time.Hour}
	ended := func() (both [2]weak.Pointer[Session]) {
		a, b := pipe(wide)
		c, err := Client(a, cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Server(b, cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		st, err := c.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.AcceptStream(); err != nil {
			t.Fatal(err)
		}
		var closing sync.WaitGroup
		closing.Go(func() { c.Close() })
		closing.Go(func() { s.Close() })
		closing.Wait()
		return [2]weak.Pointer[Session]{weak.Make(c), weak.Make(s)}
	}()
	for end := time.Now().Add(safety); ended[0].Value() != nil || ended[1].Value() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("something keeps it")
		}
		runtime.GC()
	}
}
