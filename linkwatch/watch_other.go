//go:build !linux

package linkwatch

import "context"

// listen has nobody to listen to.
func listen(context.Context) (hints <-chan struct{}, stop func()) { return nil, func() {} }

// defaultRoutes is not known: a change of addresses has to do.
func defaultRoutes() string { return "" }
