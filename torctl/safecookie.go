package torctl

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
)

// The two keys of SAFECOOKIE's HMACs, from Tor's control specification.
const (
	serverKey = "Tor safe cookie authentication server-to-controller hash"
	clientKey = "Tor safe cookie authentication controller-to-server hash"
)

// safeCookie proves that we can read the cookie without showing it, after Tor
// proved that it knows it: a stranger on the port learns nothing.
//
//	-> AUTHCHALLENGE SAFECOOKIE <our nonce>
//	<- 250 AUTHCHALLENGE SERVERHASH=<hash> SERVERNONCE=<nonce>
//	-> AUTHENTICATE <hash>                     (the caller's)
func (c *Control) safeCookie(cookie []byte) (string, error) {
	nonce := make([]byte, 32)
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	c.conn.step()
	resp, err := c.bine.SendRequest("AUTHCHALLENGE SAFECOOKIE %s", hex.EncodeToString(nonce))
	if err != nil {
		return "", err
	}
	var serverHash, serverNonce []byte
	for _, field := range strings.Fields(resp.Reply) {
		if v, ok := strings.CutPrefix(field, "SERVERHASH="); ok {
			serverHash, _ = hex.DecodeString(v)
		}
		if v, ok := strings.CutPrefix(field, "SERVERNONCE="); ok {
			serverNonce, _ = hex.DecodeString(v)
		}
	}
	if len(serverHash) != sha256.Size || len(serverNonce) != 32 {
		return "", errors.New("the challenge has not the form of the specification")
	}
	if !hmac.Equal(serverHash, cookieHash(serverKey, cookie, nonce, serverNonce)) {
		return "", errors.New("who answers does not know the cookie")
	}
	return hex.EncodeToString(cookieHash(clientKey, cookie, nonce, serverNonce)), nil
}

func cookieHash(key string, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, []byte(key))
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}
