package noise_test

import (
	"context"
	"fmt"
	"net"

	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Both sides of a connection between nodes of today, over a pipe.
func Example() {
	params := noise.Params{Pattern: noise.XX, Prologue: []byte("com.tari.comms.noise.prologue"), HashDH: true}
	alice, _ := tarikey.GenerateKey(nil)
	bob, _ := tarikey.GenerateKey(nil)
	dialed, accepted := net.Pipe()

	go func() {
		defer accepted.Close()
		conn, err := noise.Server(context.Background(), accepted, noise.Config{Params: params, Static: bob})
		if err != nil {
			return
		}
		fmt.Fprintf(conn, "hello, %v", conn.RemoteKey() == alice.Public())
	}()

	defer dialed.Close()
	conn, err := noise.Client(context.Background(), dialed, noise.Config{Params: params, Static: alice})
	if err != nil {
		fmt.Println(err)
		return
	}
	buf := make([]byte, 100)
	n, _ := conn.Read(buf)
	fmt.Println(conn.RemoteKey() == bob.Public(), string(buf[:n]))
	// Output: true hello, true
}
