//go:build !race

package connectivity

// How many seeds of the simulations are run.
const (
	simSeeds     = 200
	eclipseSeeds = 1
)
