package peerbook

import (
	"bufio"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Format is a form of a book outside of its store.
type Format string

// The formats. In JSON there is an object a line: the first says what follows,
// the others are a peer each, and nothing is lost. CSV is for spreadsheets: it
// has no claims, statistics and generations of bans, and text that strangers
// chose is made harmless.
const (
	JSON Format = "json"
	CSV  Format = "csv"
)

// ErrFormat is what Export and Import say to another Format.
var ErrFormat = errors.New("peerbook: the format is neither json nor csv")

// Export writes the records that keep says yes to, all if it is nil, in the
// order of their public keys; removed peers only while they are banned. Changes
// that are made meanwhile are not in it.
func (b *Book) Export(w io.Writer, f Format, keep func(Record) bool) error {
	var records []Record
	now := time.Now()
	b.mu.RLock()
	for _, r := range b.peers {
		if r.Removed.IsZero() || r.Banned(now) {
			records = append(records, *r)
		}
	}
	b.mu.RUnlock()
	sortByKey(records)
	out := bufio.NewWriter(w)
	write, err := f.writer(out)
	if err != nil {
		return err
	}
	for i := range records {
		if keep == nil || keep(records[i]) {
			if err := write(&records[i], now); err != nil {
				return fmt.Errorf("peerbook: export: %w", err)
			}
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("peerbook: export: %w", err)
	}
	return nil
}

// writer has written what stands before the records, and writes one.
func (f Format) writer(w io.Writer) (func(*Record, time.Time) error, error) {
	switch f {
	case JSON:
		to := json.NewEncoder(w)
		to.SetEscapeHTML(false)
		return func(r *Record, now time.Time) error { return to.Encode(exported(r, now)) }, to.Encode(exportHead{exportName, exportVersion})
	case CSV:
		to := csv.NewWriter(w)
		write := func(line []string) error {
			err := to.Write(line)
			to.Flush()
			return errors.Join(err, to.Error())
		}
		return func(r *Record, _ time.Time) error { return write(csvLine(r)) }, write(csvColumns)
	}
	return nil, ErrFormat
}

// exportHead is the first line of a JSON export.
type exportHead struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

const (
	exportName    = "tari-libp2p peers"
	exportVersion = 1
)

// exportedRecord is a line of a JSON export. What is derived from the rest
// (node_id, quality, claim_signed_at) is for people; of these only node_id is
// looked at by Import.
type exportedRecord struct {
	Key           tarikey.PublicKey `json:"public_key"`
	NodeID        string            `json:"node_id,omitempty"`
	Addresses     []exportedAddress `json:"addresses,omitempty"`
	Features      uint32            `json:"features,omitempty"`
	Protocols     []anyText         `json:"protocols,omitempty"`
	UserAgent     anyText           `json:"user_agent,omitempty"`
	Claim         string            `json:"claim,omitempty"` // identityproto.Claim.MarshalBinary in hexadecimal
	ClaimSignedAt when              `json:"claim_signed_at,omitzero"`
	Network       string            `json:"network,omitempty"`
	Seed          bool              `json:"seed,omitempty"`
	Protected     bool              `json:"protected,omitempty"`
	Allowed       bool              `json:"allowed,omitempty"`
	Ban           exportedBan       `json:"ban,omitzero"`
	AddedAt       when              `json:"added_at,omitzero"`
	LastSeen      when              `json:"last_seen,omitzero"`
	Removed       when              `json:"removed_at,omitzero"`
}

type exportedAddress struct {
	Addr     string `json:"address"`       // text, or "hex:" and the binary form where the text would not be read back
	Source   string `json:"source"`        // Source.String
	LastSeen when   `json:"seen,omitzero"` // when a dial last reached the peer here
	LastFail when   `json:"failed,omitzero"`
	Failure  string `json:"failure,omitempty"`
	Attempts uint32 `json:"attempts,omitempty"`
	Failures uint32 `json:"failures,omitempty"`
	TookMS   uint32 `json:"latency_ms,omitempty"`
	Quality  int    `json:"quality"`
}

type exportedBan struct {
	Until      when   `json:"until,omitzero"`
	Reason     string `json:"reason,omitempty"`
	Source     string `json:"source,omitempty"` // BanSource.String
	Generation uint64 `json:"generation,omitempty"`
}

// when is a time in UTC, to the millisecond.
type when struct{ time.Time }

func (w when) MarshalJSON() ([]byte, error) {
	return []byte(w.UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

func whenOf(t time.Time) when { return when{rounded(t)} }

// anyText is a string that a peer may have filled with any bytes: those that
// are no UTF-8, and those that look like it, are "hex:" and hexadecimal.
type anyText string

const hexMark = "hex:"

func (t anyText) MarshalText() ([]byte, error) {
	if utf8.ValidString(string(t)) && !strings.HasPrefix(string(t), hexMark) {
		return []byte(t), nil
	}
	return []byte(hexMark + hex.EncodeToString([]byte(t))), nil
}

func (t *anyText) UnmarshalText(text []byte) error {
	if hexed, is := strings.CutPrefix(string(text), hexMark); is {
		raw, err := hex.DecodeString(hexed)
		*t = anyText(raw)
		return err
	}
	*t = anyText(text)
	return nil
}

func exported(r *Record, now time.Time) exportedRecord {
	out := exportedRecord{
		Key: r.Key, NodeID: r.NodeID().String(), Features: uint32(r.Features), UserAgent: anyText(r.UserAgent), Network: r.Network,
		Seed: r.Seed, Protected: r.Protected, Allowed: r.Allowed,
		AddedAt: whenOf(r.AddedAt), LastSeen: whenOf(r.LastSeen), Removed: whenOf(r.Removed),
	}
	if r.Ban != (Ban{}) {
		out.Ban = exportedBan{whenOf(r.Ban.Until), r.Ban.Reason, r.Ban.Source.String(), r.Ban.Generation}
	}
	for _, a := range r.Addresses {
		out.Addresses = append(out.Addresses, exportedAddress{
			Addr: addrText(a.Addr), Source: a.Source.String(), LastSeen: whenOf(a.LastSeen), LastFail: whenOf(a.LastFail), Failure: a.Failure,
			Attempts: a.Attempts, Failures: a.Failures, TookMS: uint32(a.Took.Milliseconds()), Quality: a.Quality(now),
		})
	}
	for _, p := range r.Protocols {
		out.Protocols = append(out.Protocols, anyText(p))
	}
	if c := r.Claim; c != nil && c.Signature != nil {
		if raw, err := c.MarshalBinary(); err == nil {
			out.Claim, out.ClaimSignedAt = hex.EncodeToString(raw), whenOf(c.Signature.UpdatedAt)
		}
	}
	return out
}

// addrText is an address as text that reads back as the same bytes.
func addrText(a ma.Multiaddr) string {
	text := a.String()
	if again, err := ma.NewMultiaddr(text); err == nil && again.Equal(a) {
		return text
	}
	return hexMark + hex.EncodeToString(a.Bytes())
}

func parseAddrText(text string) (ma.Multiaddr, error) {
	if hexed, is := strings.CutPrefix(text, hexMark); is {
		raw, err := hex.DecodeString(hexed)
		if err != nil {
			return nil, err
		}
		return ma.NewMultiaddrBytes(raw)
	}
	return ma.NewMultiaddr(text)
}

// record is the inverse of exported, and checks what a person or a program may
// have changed.
func (e *exportedRecord) record(now time.Time) (*Record, error) {
	if e.Key.IsZero() {
		return nil, errors.New("no public key")
	}
	if e.NodeID != "" && e.NodeID != e.Key.NodeID().String() {
		return nil, errors.New("the node id is not that of the public key")
	}
	r := &Record{
		Key: e.Key, Features: identityproto.Features(e.Features), UserAgent: string(e.UserAgent), Network: e.Network,
		Seed: e.Seed, Protected: e.Protected, Allowed: e.Allowed,
		AddedAt: rounded(e.AddedAt.Time), LastSeen: rounded(e.LastSeen.Time), Removed: rounded(e.Removed.Time),
	}
	source, err := parseWord(banSourceWords, e.Ban.Source)
	if err != nil {
		return nil, fmt.Errorf("the source of the ban: %w", err)
	}
	r.Ban = Ban{rounded(e.Ban.Until.Time), cleanText(e.Ban.Reason), BanSource(source), e.Ban.Generation}
	if r.Addresses, err = parseAddresses(e.Addresses); err != nil {
		return nil, err
	}
	for _, p := range e.Protocols {
		r.Protocols = append(r.Protocols, protocol.ID(p))
	}
	if e.Claim != "" {
		if r.Claim, err = parseClaim(e.Claim, e.Key, now); err != nil {
			return nil, err
		}
		r.Claim.Protocols, r.Claim.UserAgent = r.Protocols, r.UserAgent
	}
	return r, nil
}

func parseAddresses(exported []exportedAddress) (out []Address, err error) {
	if len(exported) > MaxAddresses {
		return nil, fmt.Errorf("more than %d addresses", MaxAddresses)
	}
	for i, e := range exported {
		addr, err := parseAddrText(e.Addr)
		if err != nil {
			return nil, fmt.Errorf("address %d is no multiaddr", i+1)
		}
		source, err := parseWord(sourceWords, e.Source)
		if err != nil {
			return nil, fmt.Errorf("the source of address %d: %w", i+1, err)
		}
		a := Address{
			Addr: addr, Source: Source(source), LastSeen: e.LastSeen.Time, LastFail: e.LastFail.Time, Failure: e.Failure,
			Attempts: e.Attempts, Failures: e.Failures, Took: time.Duration(e.TookMS) * time.Millisecond,
		}
		if indexAddress(out, a) < 0 {
			out = append(out, roundAddress(a))
		}
	}
	return out, nil
}

// parseWord is the inverse of wordOf; no word is the first.
func parseWord(words []string, word string) (uint8, error) {
	for i, w := range words {
		if word == w || word == "" {
			return uint8(i), nil
		}
	}
	return 0, errors.New("not one of " + strings.Join(words, ", "))
}

// parseClaim takes a claim only if its signature holds: the file may be a
// stranger's.
func parseClaim(text string, key tarikey.PublicKey, now time.Time) (*identityproto.Claim, error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, errors.New("the claim is not hexadecimal")
	}
	c := new(identityproto.Claim)
	if err := c.UnmarshalBinary(raw); err != nil {
		return nil, errors.New("the claim does not decode")
	}
	if c.Key != key {
		return nil, errors.New("the claim is another peer's")
	}
	if err := c.VerifySignature(now); err != nil {
		return nil, errors.New("the signature of the claim does not hold")
	}
	return c, nil
}
