package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2/unstable"
	"github.com/spf13/pflag"
)

// maxConfig is how long a configuration file may be, in bytes.
const maxConfig = 64 << 10

// configFile is what a file says; without a name nothing was read.
type configFile struct {
	name     string
	settings []setting
	faults   []fault // of the file as a whole; what stands behind a fault of the syntax is not known
}

// setting is a key of the file.
type setting struct {
	key   string
	value any // bool, int64, string, []any, or a notTaken
	line  int
}

// notTaken is a value of a kind that no option has, such as a date.
type notTaken string

// fault is what is wrong with a line of the file, or without a line with all of it.
type fault struct {
	Line  int    `json:"line,omitempty"`
	Key   string `json:"key,omitempty"`
	Value string `json:"value,omitempty"` // as the file could have it
	Error string `json:"error"`
	Cure  string `json:"cure,omitempty"`
}

// text shows a fault on one line.
func (f fault) text(file string) string {
	if f.Line > 0 {
		file += ":" + strconv.Itoa(f.Line)
	}
	if f.Key != "" {
		file += ": " + f.Key
	}
	if f.Value != "" {
		file += " = " + f.Value
	}
	file += ": " + f.Error
	if f.Cure != "" {
		file += "; " + f.Cure
	}
	return file
}

func sortFaults(faults []fault) {
	slices.SortStableFunc(faults, func(x, y fault) int { return cmp.Compare(x.Line, y.Line) })
}

// maxFaults is how many faults a command that cannot start shows.
const maxFaults = 5

// faulty is the usage error of a file with faults.
func faulty(file string, faults []fault) error {
	var lines []string
	for _, f := range faults[:min(len(faults), maxFaults)] {
		lines = append(lines, f.text(file))
	}
	if more := len(faults) - maxFaults; more > 0 {
		lines = append(lines, fmt.Sprintf("and %s more; \"tari-libp2p config check\" shows all", count(more, "fault")))
	}
	return usagef("%s", strings.Join(lines, "\n"))
}

// badValue is the fault of a value that its option does not take.
func badValue(s setting, f *pflag.Flag, err error) fault {
	_, usage := pflag.UnquoteUsage(f)
	cure := "it means: " + usage
	if f.DefValue != "" {
		cure += "; default: " + f.DefValue
	}
	return fault{Line: s.line, Key: s.key, Value: showValue(s.value), Error: err.Error(), Cure: cure}
}

// defaultConfigName is where a configuration is looked for; empty without a home. A relative $XDG_CONFIG_HOME is ignored, as the XDG
// base directory specification says.
func defaultConfigName() string {
	base := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(base) {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		base = filepath.Join(home, ".config")
	}
	return filepath.Join(base, "tari-libp2p", "config.toml")
}

// readDefaultConfig reads the file that nobody has to name, if it is there.
func readDefaultConfig() (configFile, error) {
	name := defaultConfigName()
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return configFile{}, nil
	}
	file, err := readConfig(name)
	if err != nil {
		err = fmt.Errorf("%w; --config \"\" reads no file", err)
	}
	return file, err
}

// readConfig reads a file. The error is about the file; what is wrong with its lines are faults.
func readConfig(name string) (configFile, error) {
	if name == "" || name == os.DevNull {
		return configFile{}, nil
	}
	text, err := readBounded(name)
	if err != nil {
		return configFile{}, err
	}
	settings, faults := parseConfig(text)
	return configFile{name, settings, faults}, nil
}

// readBounded reads a plain file of maxConfig bytes at most.
func readBounded(name string) ([]byte, error) {
	info, err := os.Stat(name) // to open a pipe would wait for its other end
	if err != nil {
		return nil, configNotRead(name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, usagef("configuration %s: not a plain file", quote(name))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, configNotRead(name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, configNotRead(name, err)
	}
	if len(text) > maxConfig {
		return nil, usagef("configuration %s: longer than %d bytes", quote(name), maxConfig)
	}
	return text, nil
}

// configNotRead is why a configuration could not be read. Starting again does not change it: it is a usage error, unless nothing is there.
func configNotRead(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return notRead(name, err)
	}
	var cause *fs.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return usagef("configuration %s: %w", quote(name), err)
}

// parseConfig reads TOML as far as it goes.
func parseConfig(text []byte) (settings []setting, faults []fault) {
	var (
		p    unstable.Parser
		at   lineCounter
		seen = map[string]int{} // lines
	)
	p.Reset(slices.Clip(text)) // or the place of an error cannot be told
	for p.NextExpression() {
		e := p.Expression()
		key, offset := dottedKey(e)
		line := at.line(text, offset)
		if e.Kind != unstable.KeyValue {
			faults = append(faults, fault{
				Line: line, Error: "the table [" + printable(key) + "], where options have none",
				Cure: "write the options without tables, " + printable("KEY = VALUE") + "; what stands behind was not looked at",
			})
			return settings, faults
		}
		if first, twice := seen[key]; twice {
			faults = append(faults, fault{Line: line, Key: printable(key), Error: fmt.Sprintf("it stands in line %d already", first), Cure: "leave one of them out"})
			continue
		}
		seen[key] = line
		settings = append(settings, setting{key, valueOf(e.Value()), line})
	}
	if err := p.Error(); err != nil {
		faults = append(faults, syntaxFault(&p, err))
	}
	return settings, faults
}

// syntaxFault is the fault where the parser gave up. It does not show the line: it may be anything.
func syntaxFault(p *unstable.Parser, err error) fault {
	f := fault{Error: "not TOML: " + err.Error(), Cure: "what stands behind was not looked at"}
	where, ok := errors.AsType[*unstable.ParserError](err)
	if !ok {
		return f
	}
	f.Error = "not TOML: " + where.Message
	text := p.Data() // Highlight is a piece of it
	if offset := cap(text) - cap(where.Highlight); offset >= 0 && offset <= len(text) {
		f.Line = new(lineCounter).line(text, offset)
	}
	return f
}

// dottedKey is the key of a line, its parts with dots between them, and where it begins.
func dottedKey(e *unstable.Node) (key string, offset int) {
	var parts []string
	for it := e.Key(); it.Next(); {
		if len(parts) == 0 {
			offset = int(it.Node().Raw.Offset)
		}
		parts = append(parts, string(it.Node().Data))
	}
	return strings.Join(parts, "."), offset
}

// valueOf is the value that an option could have.
func valueOf(n *unstable.Node) any {
	switch n.Kind {
	case unstable.String:
		return string(n.Data)
	case unstable.Bool:
		return string(n.Data) == "true"
	case unstable.Integer:
		number, err := strconv.ParseInt(string(n.Data), 0, 64) // as TOML: 1_000, 0xff, 0o17, 0b1, +1
		if err != nil {
			return notTaken("a number out of range")
		}
		return number
	case unstable.Array:
		items := []any{}
		for it := n.Children(); it.Next(); {
			items = append(items, valueOf(it.Node()))
		}
		return items
	case unstable.Float:
		return notTaken("a number with a fraction")
	case unstable.InlineTable:
		return notTaken("a table")
	default:
		return notTaken("a date or time")
	}
}

// lineCounter counts lines up to offsets that do not decrease.
type lineCounter struct{ offset, lines int }

func (c *lineCounter) line(text []byte, offset int) int {
	c.lines += bytes.Count(text[c.offset:offset], []byte{'\n'})
	c.offset = offset
	return c.lines + 1
}

// printable is a word of the file, as it is if it is a short key, quoted and cut otherwise.
func printable(word string) string {
	if word != "" && len(word) <= 60 && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_. ") == "" {
		return word
	}
	return preview([]byte(word))
}
