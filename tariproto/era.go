package tariproto

// Era is a generation of tari_comms, for protocols whose id is the same in both and
// whose rules are not. The connections of tari.Host tell theirs by As(*Era).
type Era int

// The eras.
const (
	EraUnknown Era = iota
	EraModern      // tari_comms 6
	EraSeed        // tari_comms 0.8
)
