package peerbook

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// csvColumns are the columns of an export. An import needs public_key, and
// takes any of the others, in any order, but user_agent, node_id, last_failure
// and last_seen, which are only shown. Addresses are apart by a space.
var csvColumns = []string{
	"public_key", "node_id", "addresses", "features", "user_agent", "network", "seed", "protected", "allowed",
	"banned_until", "ban_source", "ban_reason", "last_seen", "last_failure",
}

func csvLine(r *Record) []string {
	var addresses []string
	failure := ""
	for _, a := range r.Addresses {
		addresses = append(addresses, addrText(a.Addr))
		if failure == "" {
			failure = a.Failure
		}
	}
	line := []string{
		r.Key.String(), r.NodeID().String(), strings.Join(addresses, " "), strconv.FormatUint(uint64(r.Features), 10),
		harmless(r.UserAgent), harmless(r.Network), yes(r.Seed), yes(r.Protected), yes(r.Allowed),
		csvTime(r.Ban.Until), "", harmless(r.Ban.Reason), csvTime(r.LastSeen), harmless(failure),
	}
	if !r.Ban.Until.IsZero() {
		line[slices.Index(csvColumns, "ban_source")] = r.Ban.Source.String()
	}
	return line
}

// harmless keeps foreign text on its line, and spreadsheets from taking it for
// a formula.
func harmless(text string) string {
	text = cleanText(text)
	if text != "" && strings.ContainsAny(text[:1], "=+-@") {
		return "'" + text
	}
	return text
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func csvTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// csvReader knows the columns once it has read the first line.
type csvReader struct{ columns []string }

func (c *csvReader) parse(line []byte, number int, _ time.Time) (*Record, error) {
	if number == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff")) // spreadsheets like to put it there
	}
	if len(line) == 0 && number > 1 {
		return nil, nil
	}
	// One line a record: a quoted end of line is none that we write.
	fields, err := csv.NewReader(bytes.NewReader(line)).Read()
	if number == 1 {
		if err != nil || !slices.Contains(fields, "public_key") {
			return nil, ErrNoExport
		}
		c.columns = fields
		return nil, nil
	}
	if err != nil {
		return nil, errors.New("no CSV")
	}
	if len(fields) != len(c.columns) {
		return nil, fmt.Errorf("%d fields, not %d", len(fields), len(c.columns))
	}
	r := new(Record)
	for i, column := range c.columns {
		if err := r.setCSV(column, strings.TrimSpace(fields[i])); err != nil {
			return nil, fmt.Errorf("%s: %w", cleanText(column), err)
		}
	}
	if r.Key.IsZero() {
		return nil, errors.New("no public key")
	}
	return r, nil
}

func (r *Record) setCSV(column, text string) (err error) {
	switch column {
	case "public_key":
		r.Key, err = tarikey.PublicKeyFromHex(text)
	case "addresses":
		r.Addresses, err = csvAddresses(text)
	case "features":
		var n uint64
		if n, err = strconv.ParseUint(text, 10, 32); text == "" {
			err = nil
		} else if err != nil {
			err = errors.New("not a number of 32 bits")
		}
		r.Features = identityproto.Features(n)
	case "network":
		r.Network = cleanText(text)
	case "seed":
		r.Seed, err = parseYes(text)
	case "protected":
		r.Protected, err = parseYes(text)
	case "allowed":
		r.Allowed, err = parseYes(text)
	case "banned_until":
		if text != "" {
			var t time.Time
			if t, err = time.Parse(time.RFC3339, text); err != nil {
				err = errors.New("not a time such as 2030-01-02T15:04:05Z")
			}
			r.Ban.Until = rounded(t)
		}
	case "ban_source":
		var n uint8
		n, err = parseWord(banSourceWords, text)
		r.Ban.Source = BanSource(n)
	case "ban_reason":
		r.Ban.Reason = cleanText(text)
	}
	return err
}

// csvAddresses are configured: a table has no room for where they came from,
// and somebody has put them there.
func csvAddresses(text string) (out []Address, err error) {
	for i, part := range strings.Fields(text) {
		addr, err := parseAddrText(part)
		if err != nil || len(addr) == 0 {
			return nil, fmt.Errorf("number %d is no multiaddr", i+1)
		}
		if len(out) == MaxAddresses {
			return nil, fmt.Errorf("more than %d", MaxAddresses)
		}
		if !slices.ContainsFunc(out, func(a Address) bool { return ma.Multiaddr.Equal(a.Addr, addr) }) {
			out = append(out, Address{Addr: addr, Source: Configured})
		}
	}
	return out, nil
}

func parseYes(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "yes", "true", "1":
		return true, nil
	case "", "no", "false", "0":
		return false, nil
	}
	return false, errors.New("neither yes nor no")
}
