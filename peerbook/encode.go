package peerbook

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// A stored record is
//
//	version (1) ‖ CRC-32C of the rest (4, big endian) ‖ JSON of storedRecord
//
// Version 2 has protected, allowed and ban_source besides, which a program that
// only knows version 1 would lose: hence the new number. Both are read.
const (
	recordVersion = 2
	oldVersion    = 1
	recordHeader  = 5
	maxRecord     = 64 << 10 // bytes; ours stay below 4 KiB
	maxClaimAddrs = 64       // tari_comms allows 5
	maxProtocols  = 256      // tari_comms allows 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errRecord = errors.New("peerbook: stored record does not decode")

type storedRecord struct {
	Key       string          `json:"key"` // hexadecimal; compared, not parsed
	Addresses []storedAddress `json:"addresses,omitempty"`
	Features  uint32          `json:"features,omitempty"`
	Protocols [][]byte        `json:"protocols,omitempty"`
	UserAgent []byte          `json:"user_agent,omitempty"`
	Claim     *storedClaim    `json:"claim,omitempty"`
	Network   string          `json:"network,omitempty"`
	Seed      bool            `json:"seed,omitempty"`
	Protected bool            `json:"protected,omitempty"`
	Allowed   bool            `json:"allowed,omitempty"`

	BannedUntil   stamp     `json:"banned_until,omitempty"`
	BanReason     string    `json:"ban_reason,omitempty"`
	BanSource     BanSource `json:"ban_source,omitempty"`
	BanGeneration uint64    `json:"ban_generation,omitempty"`

	AddedAt  stamp `json:"added_at,omitempty"`
	LastSeen stamp `json:"last_seen,omitempty"`
	Removed  stamp `json:"removed,omitempty"`
}

type storedAddress struct {
	Addr     []byte `json:"addr"`
	Source   Source `json:"source,omitempty"`
	LastSeen stamp  `json:"last_seen,omitempty"`
	LastFail stamp  `json:"last_fail,omitempty"`
	Failure  string `json:"failure,omitempty"`
	Attempts uint32 `json:"attempts,omitempty"`
	Failures uint32 `json:"failures,omitempty"`
	TookMS   uint32 `json:"took_ms,omitempty"`
}

// storedClaim is what the signature covers, and the signature. Protocols and
// user agent are the record's own.
type storedClaim struct {
	Addresses [][]byte          `json:"addresses,omitempty"`
	Features  uint32            `json:"features,omitempty"`
	Version   byte              `json:"version,omitempty"`
	Nonce     tarikey.PublicKey `json:"nonce"`
	S         []byte            `json:"s"`
	UpdatedAt int64             `json:"updated_at"` // Unix seconds
}

// stamp is a time in Unix milliseconds; 0 is never.
type stamp int64

// maxStamp is the last millisecond of the year 9999, the end of all bans.
const maxStamp stamp = 253402300799999

func toStamp(t time.Time) stamp {
	if t.IsZero() {
		return 0
	}
	return max(1, min(stamp(t.UnixMilli()), maxStamp))
}

func (s stamp) time() time.Time {
	if s <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(min(s, maxStamp))).UTC()
}

// rounded is t as it comes back from disk.
func rounded(t time.Time) time.Time { return toStamp(t).time() }

// encodeRecord refuses what the next start would set aside.
func encodeRecord(r *Record) ([]byte, error) {
	data, err := marshalRecord(r)
	if err != nil {
		return nil, err
	}
	if len(data) > maxRecord || !fits(r) {
		return nil, errors.New("peerbook: a record beyond the limits of the book")
	}
	return data, nil
}

// fits: decodeRecord would take it.
func fits(r *Record) bool {
	if r.Key.IsZero() || len(r.Addresses) > MaxAddresses || len(r.Protocols) > maxProtocols || r.Ban.Source > ByOperator {
		return false
	}
	for _, a := range r.Addresses {
		if a.Source > Configured || !stays(a.Addr) {
			return false
		}
	}
	if r.Claim == nil || r.Claim.Signature == nil {
		return true
	}
	at := r.Claim.Signature.UpdatedAt.Unix()
	if r.Claim.Signature.Nonce.IsZero() || len(r.Claim.Addresses) > maxClaimAddrs || at < 0 || stamp(at) > maxStamp/1000 {
		return false
	}
	for _, a := range r.Claim.Addresses {
		if indexAddress(r.Addresses, Address{Addr: a}) < 0 && !stays(a) {
			return false
		}
	}
	return true
}

// stays: an address can be read back.
func stays(a ma.Multiaddr) bool {
	_, err := ma.NewMultiaddrBytes(a.Bytes())
	return err == nil
}

func marshalRecord(r *Record) ([]byte, error) {
	s := storedRecord{
		Key: r.Key.String(), Features: uint32(r.Features), UserAgent: []byte(r.UserAgent), Network: r.Network,
		Seed: r.Seed, Protected: r.Protected, Allowed: r.Allowed,
		BannedUntil: toStamp(r.Ban.Until), BanReason: r.Ban.Reason, BanSource: r.Ban.Source, BanGeneration: r.Ban.Generation,
		AddedAt: toStamp(r.AddedAt), LastSeen: toStamp(r.LastSeen), Removed: toStamp(r.Removed),
	}
	for _, a := range r.Addresses {
		s.Addresses = append(s.Addresses, storedAddress{
			Addr: a.Addr.Bytes(), Source: a.Source, LastSeen: toStamp(a.LastSeen), LastFail: toStamp(a.LastFail),
			Failure: a.Failure, Attempts: a.Attempts, Failures: a.Failures, TookMS: uint32(a.Took.Milliseconds()),
		})
	}
	for _, p := range r.Protocols {
		s.Protocols = append(s.Protocols, []byte(p))
	}
	if c := r.Claim; c != nil && c.Signature != nil {
		s.Claim = &storedClaim{
			Features: uint32(c.Features), Version: c.Signature.Version, Nonce: c.Signature.Nonce,
			S: c.Signature.S[:], UpdatedAt: c.Signature.UpdatedAt.Unix(),
		}
		for _, a := range c.Addresses {
			s.Claim.Addresses = append(s.Claim.Addresses, a.Bytes())
		}
	}
	body, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("peerbook: encode: %w", err)
	}
	out := append(make([]byte, 0, recordHeader+len(body)), recordVersion)
	out = binary.BigEndian.AppendUint32(out, crc32.Checksum(body, castagnoli))
	return append(out, body...), nil
}

// decodeRecord refuses whatever encodeRecord cannot have written for this key.
func decodeRecord(key tarikey.PublicKey, data []byte) (*Record, error) {
	if len(data) < recordHeader || len(data) > maxRecord || data[0] != recordVersion && data[0] != oldVersion {
		return nil, errRecord
	}
	body := data[recordHeader:]
	if binary.BigEndian.Uint32(data[1:]) != crc32.Checksum(body, castagnoli) {
		return nil, errRecord
	}
	r, err := decodeBody(key, body)
	if err == nil && data[0] == oldVersion {
		fromOld(r)
	}
	return r, err
}

// fromOld fills in what version 1 does not say. Only people banned for ever.
func fromOld(r *Record) {
	if toStamp(r.Ban.Until) == maxStamp {
		r.Ban.Source = ByOperator
	}
}

// decodeBody is decodeRecord behind the checksum.
func decodeBody(key tarikey.PublicKey, body []byte) (*Record, error) {
	var s storedRecord
	if err := json.Unmarshal(body, &s); err != nil || s.Key != key.String() || key.IsZero() {
		return nil, errRecord
	}
	if len(s.Addresses) > MaxAddresses || len(s.Protocols) > maxProtocols || !utf8.ValidString(s.BanReason) || s.BanSource > ByOperator {
		return nil, errRecord
	}
	r := &Record{
		Key: key, Features: identityproto.Features(s.Features), UserAgent: string(s.UserAgent), Network: s.Network,
		Seed: s.Seed, Protected: s.Protected, Allowed: s.Allowed,
		Ban:     Ban{Until: s.BannedUntil.time(), Reason: s.BanReason, Source: s.BanSource, Generation: s.BanGeneration},
		AddedAt: s.AddedAt.time(), LastSeen: s.LastSeen.time(), Removed: s.Removed.time(),
	}
	if len(s.Addresses) > 0 {
		r.Addresses = make([]Address, len(s.Addresses))
	}
	for i, a := range s.Addresses {
		addr, err := ma.NewMultiaddrBytes(a.Addr)
		if err != nil || a.Source > Configured {
			return nil, errRecord
		}
		r.Addresses[i] = Address{
			Addr: addr, Source: a.Source, LastSeen: a.LastSeen.time(), LastFail: a.LastFail.time(),
			Failure: a.Failure, Attempts: a.Attempts, Failures: a.Failures, Took: time.Duration(a.TookMS) * time.Millisecond,
		}
	}
	r.Protocols = decodeProtocols(s.Protocols)
	if s.Claim == nil {
		return r, nil
	}
	claim, err := decodeClaim(s.Claim, s.Addresses, r.Addresses)
	if err != nil {
		return nil, err
	}
	claim.Key, claim.Protocols, claim.UserAgent = key, r.Protocols, r.UserAgent
	r.Claim = claim
	return r, nil
}

// decodeProtocols has all of them in one piece of memory: a book has many.
func decodeProtocols(stored [][]byte) []protocol.ID {
	if len(stored) == 0 {
		return nil
	}
	protocols := make([]protocol.ID, len(stored))
	all := string(bytes.Join(stored, nil))
	for i, p := range stored {
		protocols[i], all = protocol.ID(all[:len(p)]), all[len(p):]
	}
	return protocols
}

// decodeClaim takes the addresses that the record has too from there: stored
// are those in the form that they are stored in.
func decodeClaim(s *storedClaim, stored []storedAddress, decoded []Address) (*identityproto.Claim, error) {
	if len(s.S) != tarikey.KeySize || s.Nonce.IsZero() || len(s.Addresses) > maxClaimAddrs || s.UpdatedAt < 0 || stamp(s.UpdatedAt) > maxStamp/1000 {
		return nil, errRecord
	}
	c := &identityproto.Claim{Features: identityproto.Features(s.Features), Signature: &identityproto.Signature{
		Version:   s.Version,
		Signature: tarikey.Signature{Nonce: s.Nonce, S: [tarikey.KeySize]byte(s.S)},
		UpdatedAt: time.Unix(s.UpdatedAt, 0).UTC(),
	}}
	if len(s.Addresses) > 0 {
		c.Addresses = make([]ma.Multiaddr, len(s.Addresses))
	}
	for i, raw := range s.Addresses {
		if same := slices.IndexFunc(stored, func(a storedAddress) bool { return bytes.Equal(a.Addr, raw) }); same >= 0 {
			c.Addresses[i] = decoded[same].Addr
			continue
		}
		addr, err := ma.NewMultiaddrBytes(raw)
		if err != nil {
			return nil, errRecord
		}
		c.Addresses[i] = addr
	}
	return c, nil
}
