package tarikey

import "errors"

// The reasons a key or a signature is refused; test for them with errors.Is.
var (
	ErrLength        = errors.New("not 32 bytes")
	errNodeIDLength  = errors.New("not 26 characters")
	ErrNotHex        = errors.New("not hexadecimal")
	ErrNotCanonical  = errors.New("not the canonical encoding")
	ErrIdentityPoint = errors.New("identity point")
	ErrZeroScalar    = errors.New("zero scalar")
	ErrNotTariKey    = errors.New("not a Tari key")
	ErrBadSignature  = errors.New("tarikey: signature does not verify")
)

// KeyError says why bytes or text are not a key. It never carries them.
type KeyError struct {
	Kind   string // "public key", "secret key", "node id" or "peer id"
	Reason error  // one of the Err values above
}

func (e *KeyError) Error() string { return "tarikey: bad " + e.Kind + ": " + e.Reason.Error() }

// Unwrap gives the reason.
func (e *KeyError) Unwrap() error { return e.Reason }
