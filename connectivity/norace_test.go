//go:build !race

package connectivity

// simSeeds is how many seeds of the simulation are run.
const simSeeds = 200
