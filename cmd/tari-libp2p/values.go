package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/seeds"
)

// The values of options that make no sense with any number or any text. The error of Set follows the option's name.

// positive is a number above 0.
type positive int

func (p *positive) Type() string   { return "number" }
func (p *positive) String() string { return strconv.Itoa(int(*p)) }

func (p *positive) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return errors.New("a number above 0")
	}
	*p = positive(n)
	return nil
}

// period is a time above 0.
type period time.Duration

func (p *period) Type() string   { return "time" }
func (p *period) String() string { return time.Duration(*p).String() }

func (p *period) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return errors.New("a time above 0, such as 500ms, 5s or 2m")
	}
	*p = period(d)
	return nil
}

// timeoutFlag bounds all that a command does.
func timeoutFlag(cmd *cobra.Command, timeout *time.Duration) {
	*timeout = time.Minute
	cmd.Flags().Var((*period)(timeout), "timeout", "give up after this `time`")
}

// hostPort is HOST:PORT, or nothing.
type hostPort string

func (h *hostPort) Type() string   { return "HOST:PORT" }
func (h *hostPort) String() string { return string(*h) }

func (h *hostPort) Set(text string) error {
	host, port, err := net.SplitHostPort(text)
	if _, wrong := strconv.ParseUint(port, 10, 16); text != "" && (err != nil || wrong != nil || host == "") {
		return errors.New("HOST:PORT, such as 127.0.0.1:9050")
	}
	*h = hostPort(text)
	return nil
}

// controlPort is HOST:PORT or the path of a Unix socket.
type controlPort string

func (c *controlPort) Type() string   { return "HOST:PORT" }
func (c *controlPort) String() string { return string(*c) }

func (c *controlPort) Set(text string) error {
	var at hostPort
	if !strings.HasPrefix(text, "/") && at.Set(text) != nil {
		return errors.New("HOST:PORT, such as 127.0.0.1:9051, or the whole path of a socket")
	}
	*c = controlPort(text)
	return nil
}

// checkedText is a text that check finds right.
type checkedText struct {
	to    *string
	check func(string) error
}

// textFlag defines an option whose text is checked as it is set.
func textFlag(cmd *cobra.Command, to *string, name, value, usage string, check func(string) error) {
	*to = value
	cmd.Flags().Var(&checkedText{to, check}, name, usage)
}

func (t *checkedText) Type() string { return "string" } // which help shows in quotes

func (t *checkedText) String() string {
	if t.to == nil {
		return "" // pflag asks a zero value
	}
	return *t.to
}

func (t *checkedText) Set(value string) error {
	if err := t.check(value); err != nil {
		return err
	}
	*t.to = value
	return nil
}

// list is texts of which check finds each right. The first Set replaces the default, the next ones add to it.
type list struct {
	to    *[]string
	split func(string) ([]string, error) // the texts in the value of one option
	check func(string) error
	set   bool
}

// listFlag defines an option that holds several texts, between commas or in several options.
func listFlag(cmd *cobra.Command, to *[]string, name, usage string, check func(string) error) {
	cmd.Flags().Var(&list{to: to, split: splitList, check: check}, name, usage)
}

// repeatFlag defines an option that holds one text each time that it is given.
func repeatFlag(cmd *cobra.Command, to *[]string, name, usage string, check func(string) error) {
	one := func(text string) ([]string, error) { return []string{text}, nil }
	cmd.Flags().Var(&list{to: to, split: one, check: check}, name, usage)
}

func (l *list) Type() string       { return "texts" }
func (l *list) GetSlice() []string { return *l.to }

func (l *list) String() string {
	if l.to == nil {
		return "" // pflag asks a zero value
	}
	return strings.Join(*l.to, ",")
}

func (l *list) Set(value string) error {
	items, err := l.split(value)
	if err != nil {
		return err
	}
	if l.set {
		items = append(slices.Clone(*l.to), items...)
	}
	return l.Replace(items)
}

// Append and Replace make it a pflag.SliceValue.
func (l *list) Append(item string) error { return l.Replace(append(slices.Clone(*l.to), item)) }

func (l *list) Replace(items []string) error {
	var wrong []error
	for _, item := range items {
		wrong = append(wrong, l.check(item))
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	*l.to, l.set = items, true
	return nil
}

// splitList splits at commas; a text with a comma in it stands in double quotes.
func splitList(value string) ([]string, error) {
	if value == "" {
		return []string{}, nil
	}
	items, err := csv.NewReader(strings.NewReader(value)).Read()
	if err != nil {
		return nil, errors.New("texts with commas between them")
	}
	return items, nil
}

// Checks of texts. Their errors quote what is wrong and say what may stand there.

func checkNetwork(name string) error {
	_, err := networkByName(name)
	return err
}

func checkMultiaddr(text string) error {
	if _, err := ma.NewMultiaddr(text); err != nil {
		return fmt.Errorf("%s: not a multiaddr such as /ip4/1.2.3.4/tcp/18189", quote(text))
	}
	return nil
}

func checkPeer(text string) error {
	_, err := parsePeer(text)
	return err
}

func checkPrefix(text string) error {
	if _, err := netip.ParsePrefix(text); err != nil {
		return fmt.Errorf("%s: not a network such as 203.0.113.0/24", quote(text))
	}
	return nil
}

func checkRange(text string) error {
	if _, err := tari.ParseAddrRange(text); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "tari: "))
	}
	return nil
}

func checkServer(text string) error {
	if _, err := seeds.ParseServer(text); err != nil {
		return fmt.Errorf("%s: %s", quote(text), strings.TrimPrefix(err.Error(), "seeds: "))
	}
	return nil
}

func checkAnchor(text string) error {
	if err := (seeds.Config{Anchors: []string{text}}).Check(); err != nil {
		return fmt.Errorf("%s: %s", quote(text), strings.TrimPrefix(err.Error(), "seeds: "))
	}
	return nil
}
