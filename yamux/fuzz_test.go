package yamux

import (
	"io"
	"testing"
	"time"
)

// FuzzSession feeds a session whatever comes, as a peer that then hangs up. The
// first byte chooses role and rule. Nothing may panic, hang, or make the session
// send what no peer may send; memory stays within the limit of the connection.
func FuzzSession(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) == 0 {
			return
		}
		client := in[0]&1 != 0
		a, b := pipe(wide)
		s := start(t, either(a, client), client, Config{
			Window: WindowRule(in[0] >> 1 & 1), ConnectionMemory: 4 << 20,
			CloseTimeout: safety, // a hang shows as one
		})
		mine := make(chan int, 1)
		mine <- 0
		if in[0]&4 != 0 {
			<-mine
			st := open(t, s)
			st.Write([]byte("ours"))
			go func() {
				got, _ := io.ReadAll(st)
				mine <- len(got)
			}()
		}
		go func() {
			b.Write(in[1:])
			b.shut()
		}()
		total := 0
		for {
			st, err := s.AcceptStream()
			if err != nil {
				break
			}
			st.SetDeadline(time.Now().Add(safety))
			st.Write([]byte("answer"))
			got, err := io.ReadAll(st)
			if err == nil {
				st.Close()
			} else {
				st.Reset()
			}
			total += len(got)
		}
		total += <-mine
		if total > len(in) {
			t.Errorf("%d bytes came out of %d", total, len(in))
		}
		b.Close()
		s.Close()
		if n := s.mem.used; n < 0 || n > 4<<20 {
			t.Errorf("%d bytes of memory are in use", n)
		}
		checkTraffic(t, a.written(), client)
	})
}
