package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

func TestPing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, &out, 3); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\nping "); n != 3 {
		t.Errorf("%d of 3 pings in %q", n, out.String())
	}
}

func TestPingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, &bytes.Buffer{}, 3); err == nil {
		t.Error("no error")
	}
}
