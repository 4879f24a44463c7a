package yamux

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadlineAfterAnother sets deadlines one after the other, a second apart, the first at 0 s, and reads on: at which second the Read ends.
func TestDeadlineAfterAnother(t *testing.T) {
	const none = -1
	for name, tc := range map[string]struct {
		set  []int
		want int
	}{
		"one":               {[]int{5}, 5},
		"later":             {[]int{3, 9}, 9},
		"earlier":           {[]int{9, 3}, 3},
		"later, earlier":    {[]int{3, 9, 5}, 5},
		"none, another":     {[]int{3, none, 7}, 7},
		"each just in time": {[]int{2, 3, 4, 5, 6, 7}, 7},
		"in the past":       {[]int{9, 9, 1}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := withPeer(t, true, Config{KeepAlive: -1})
				st := open(t, s)
				began := time.Now()
				set := func(second int) {
					var at time.Time
					if second != none {
						at = began.Add(time.Duration(second) * time.Second)
					}
					st.SetReadDeadline(at)
				}
				set(tc.set[0])
				go func() {
					for _, second := range tc.set[1:] {
						time.Sleep(time.Second)
						set(second)
					}
				}()
				if _, err := st.Read(make([]byte, 1)); err != errDeadline {
					t.Error(err)
				}
				if took := time.Since(began); took != time.Duration(tc.want)*time.Second {
					t.Errorf("ended after %v, want %d s", took, tc.want)
				}
				st.Reset()
				if st.readLimit.timer.Stop() {
					t.Error("a timer for a stream that is gone")
				}
			})
		})
	}
}
