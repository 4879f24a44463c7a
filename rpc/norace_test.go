//go:build !race

package rpc

const vanishing = 1000 // clients
