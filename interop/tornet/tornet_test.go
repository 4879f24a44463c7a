//go:build interop

package tornet

import (
	"context"
	"testing"
	"time"
)

func TestX(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	start := time.Now()
	n, err := Start(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop()
	a, err := n.Client("alice")
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.Client("bob")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.WaitBootstrapped(ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.WaitBootstrapped(ctx); err != nil {
		t.Fatal(err)
	}
	t.Log(time.Since(start))
}
