//go:build race

package yamux

const raceDetector = true
