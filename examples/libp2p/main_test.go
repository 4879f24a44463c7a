package main

import (
	"bytes"
	"context"
	"testing"
	"time"
)

func TestBothKindsOnOnePort(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, &out); err != nil {
		t.Fatal(err)
	}
	want := `stock peer knows by identify: [/example/greet/1]
Tari peer → host: hello over /tari/noise
stock peer → host: hello over /noise
host → Tari peer: hello over /tari/noise
host → stock peer: hello over /noise
host → stock peer that it dialed: hello over /noise
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}
