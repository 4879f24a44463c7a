//go:build race

package connectivity

// How many seeds of the simulations are run: the race detector takes its time.
const (
	simSeeds     = 25
	eclipseSeeds = 0
)
