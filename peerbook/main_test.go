package peerbook_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/peerbook/booktest"
)

func TestMain(m *testing.M) {
	if booktest.Child(booktest.Engines{"badger": openBadger, "forgetful": openForgetful}) {
		return
	}
	goleak.VerifyTestMain(m)
}

func openBadger(dir string) (*peerbook.Book, error) { return peerbook.Open(dir, peerbook.Config{}) }
