//go:build !generate

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/libp2p/go-libp2p/gologshim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	gologshim.SetDefaultHandler(a.options.logs.handler(logLibp2p))
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
