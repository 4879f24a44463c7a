package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAnswers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"200 OK\n", "POST /hello: hello ", `you asked "a question"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
}

func TestRefusesWhoHasNoTariKey(t *testing.T) {
	for from, want := range map[string]int{
		"192.0.2.1:80": http.StatusBadRequest,
		"12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN": http.StatusForbidden, // an Ed25519 key
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hello", strings.NewReader(""))
		request.RemoteAddr = from
		answer := httptest.NewRecorder()
		greet(answer, request)
		if answer.Code != want {
			t.Errorf("%s: status %d, want %d", from, answer.Code, want)
		}
	}
}
