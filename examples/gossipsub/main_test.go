package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

func TestGossipReachesTheOtherEnd(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "hello, for the") {
		t.Errorf("heard %q", out.String())
	}
}
