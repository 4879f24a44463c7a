package claimtest

import (
	"bytes"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSameSeed: answers that were kept for a seed stay answers to the same claims.
func TestSameSeed(t *testing.T) {
	a, b, other := New(7), New(7), New(8)
	seen, same := map[string]bool{}, 0
	for range 2000 {
		x, y, z := a.Next(), b.Next(), other.Next()
		if x.Key != y.Key || x.Twist != y.Twist || !bytes.Equal(x.Message, y.Message) {
			t.Fatalf("the same seed made %+v and %+v", x, y)
		}
		if bytes.Equal(x.Message, z.Message) {
			same++
		}
		seen[x.Twist] = true
	}
	if same > 100 { // empty ones are alike
		t.Errorf("%d of 2000 claims are the same from another seed", same)
	}
	if len(seen) < len(twists)/2 {
		t.Errorf("only %d of %d twists", len(seen), len(twists))
	}
}
