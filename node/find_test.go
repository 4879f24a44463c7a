//go:build unix

package node

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

func TestFindPeers(t *testing.T) {
	n, socket := controlled(t, false)
	dir := filepath.Dir(socket)
	const one, two = "704ee6eb7c568c9c4220c92a3124bb69a53c05ec2ffd3ab06f4f78ddfde6b175", "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"
	for _, key := range []string{one, two} {
		if _, err := n.AddPeer(t.Context(), key+"::/ip4/203.0.113.7/tcp/1"); err != nil {
			t.Fatal(err)
		}
	}
	find := func(prefix string, limit int, want ...string) {
		t.Helper()
		list, err := FindPeers(t.Context(), dir, prefix, limit)
		if err != nil || len(list.Peers) != len(want) {
			t.Fatalf("%s: %+v, %v", prefix, list, err)
		}
		for i, p := range list.Peers {
			if p.PublicKey != want[i] || len(p.Addresses) != 1 {
				t.Errorf("%s: %+v", prefix, p)
			}
		}
	}
	for range 2 { // over the socket, and then of the folder
		find("", 100, one, two)
		find("704E", 100, one)
		find("00", 100)
		if list, err := FindPeers(t.Context(), dir, "", 1); err != nil || len(list.Peers) != 1 {
			t.Errorf("%+v, %v", list, err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}

	none := filepath.Join(t.TempDir(), "none")
	if list, err := FindPeers(t.Context(), none, "", 1); err != nil || len(list.Peers) != 0 {
		t.Errorf("no folder: %+v, %v", list, err)
	}
	if _, err := os.Stat(none); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder was made: %v", err)
	}
}

func TestListPeersOfABadQuery(t *testing.T) {
	_, socket := controlled(t, false)
	for _, query := range []string{"limit=-1", "limit=x"} {
		response, err := over(t, socket).Get("http://node/v1/peers?" + query)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", query, response.Status)
		}
	}
}
