//go:build race

package connectivity

// simSeeds is how many seeds of the simulation are run: the race detector takes its time.
const simSeeds = 25
