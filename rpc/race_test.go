//go:build race

package rpc

const vanishing = 200 // clients; the race detector makes each twenty times as dear
