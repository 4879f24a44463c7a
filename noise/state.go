package noise

import (
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// token is a part of a handshake message: a key of the sender's, or a Diffie-Hellman of two keys that the sender does without a word.
type token uint8

const (
	keyE token = iota // ephemeral key
	keyS              // static key, encrypted once there is something to encrypt it with
	dhEE              // the initiator's ephemeral key and the responder's
	dhES              // the initiator's ephemeral key and the responder's static one
	dhSE              // the initiator's static key and the responder's ephemeral one
)

// state is the HandshakeState of the Noise specification (section 5.3) over Ristretto255. Its name of that is 25519, because tari_comms
// calls it so.
type state struct {
	symmetric
	cfg       *Config
	initiator bool // we are it

	ephemeral        tarikey.SecretKey
	remoteE, remoteS tarikey.Point // the peer's keys, each decoded once
}

func newState(cfg *Config, initiator bool) *state {
	st := &state{cfg: cfg, initiator: initiator}
	st.start("Noise_"+cfg.Pattern.String()+"_25519_ChaChaPoly_BLAKE2b", cfg.Prologue)
	return st
}

// write appends a message.
func (st *state) write(out []byte, message []token) ([]byte, error) {
	for _, t := range message {
		var err error
		switch t {
		case keyE:
			if st.ephemeral, err = tarikey.GenerateKey(st.cfg.Rand); err == nil {
				public := st.ephemeral.Public().Bytes()
				st.mixHash(public)
				out = append(out, public...)
			}
		case keyS:
			out, err = st.seal(out, st.cfg.Static.Public().Bytes())
		default:
			err = st.mixDH(t)
		}
		if err != nil {
			return nil, err
		}
	}
	return st.seal(out, nil)
}

// read takes a message, whose size is that of the pattern. It refuses the identity point and encodings that are not canonical with a
// *tarikey.KeyError, in both dialects: the older tari_comms let the identity pass, but no honest key is it, and a shared secret with it is
// known to everyone.
func (st *state) read(data []byte, message []token) error {
	for _, t := range message {
		var err error
		switch t {
		case keyE:
			public := data[:tarikey.KeySize]
			data = data[len(public):]
			st.mixHash(public)
			st.remoteE, err = tarikey.ParsePoint(public)
		case keyS:
			sealed := data[:tarikey.KeySize+st.overhead()]
			data = data[len(sealed):]
			var public []byte
			if public, err = st.open(sealed); err == nil {
				st.remoteS, err = tarikey.ParsePoint(public)
			}
		default:
			err = st.mixDH(t)
		}
		if err != nil {
			return err
		}
	}
	_, err := st.open(data)
	return err
}

// mixDH does dhEE, dhES or dhSE. The first letter is the initiator's key.
func (st *state) mixDH(t token) error {
	ours, theirs := &st.ephemeral, st.remoteE
	switch {
	case t == dhEE:
	case (t == dhES) == st.initiator:
		theirs = st.remoteS
	default:
		ours = &st.cfg.Static
	}
	shared, err := ours.DHPoint(theirs)
	if err != nil {
		return err
	}
	if st.cfg.HashDH {
		shared = [tarikey.KeySize]byte(tarikey.NewDomainHash(tarikey.KeySize, "com.tari.comms.core", 0, "noise.dh").Chain(shared[:]).Sum())
	}
	st.mixKey(shared[:])
	return nil
}
