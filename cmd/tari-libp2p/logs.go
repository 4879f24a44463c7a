package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync/atomic"
)

// A part of what is logged, with a level of its own.
type logPart string

const (
	logNode    logPart = "node"    // connections refused, and how many
	logSeeds   logPart = "seeds"   // names that were asked for
	logMetrics logPart = "metrics" // who may see them
	logWeb     logPart = "web"     // who may see the status page
	logService logPart = "service" // the service manager
	logLibp2p  logPart = "libp2p"  // what go-libp2p says itself
)

var logParts = []logPart{logNode, logSeeds, logMetrics, logWeb, logService, logLibp2p}

// logOff is above every level.
const logOff = slog.Level(math.MaxInt)

// logLevels are LEVEL[,PART=LEVEL…]: how much is logged, and of which part more or less. As a flag's value it begins at "warn", with go-libp2p
// at "error". Safe for concurrent use, since it can be changed while a node runs.
type logLevels struct{ now atomic.Pointer[levelTable] }

type levelTable struct {
	all   slog.Level
	parts map[logPart]slog.Level
}

// beginLevels is what holds until somebody says something else: a failed dial of a stranger is no news for go-libp2p's log.
func beginLevels() *levelTable {
	return &levelTable{all: slog.LevelWarn, parts: map[logPart]slog.Level{logLibp2p: slog.LevelError}}
}

func (l *logLevels) table() *levelTable {
	if t := l.now.Load(); t != nil {
		return t
	}
	return beginLevels()
}

func (l *logLevels) of(part logPart) slog.Level {
	t := l.table()
	if level, ok := t.parts[part]; ok {
		return level
	}
	return t.all
}

func (l *logLevels) Type() string { return "levels" }

func (l *logLevels) String() string {
	t := l.table()
	text := []string{levelName(t.all)}
	for _, part := range logParts {
		if level, ok := t.parts[part]; ok {
			text = append(text, string(part)+"="+levelName(level))
		}
	}
	return strings.Join(text, ",")
}

// Set replaces all levels, or none if text has a fault. A level without a part holds for all that are not named, go-libp2p excepted.
func (l *logLevels) Set(text string) error {
	t := beginLevels()
	named := make(map[logPart]bool)
	for i, one := range strings.Split(text, ",") {
		name, value, ofPart := strings.Cut(strings.TrimSpace(one), "=")
		if !ofPart {
			name, value = "", name
		}
		level, err := parseLevel(value)
		part := logPart(name)
		switch {
		case err != nil:
			return err
		case !ofPart && i > 0:
			return errors.New("one level for all, first; then PART=LEVEL")
		case !ofPart:
			t.all = level
		case !slices.Contains(logParts, part):
			return fmt.Errorf("no part %s: one of %s", quote(name), joined(logParts))
		case named[part]:
			return fmt.Errorf("the part %s twice", part)
		default:
			named[part], t.parts[part] = true, level
		}
	}
	l.now.Store(t)
	return nil
}

// change is Set while the node runs, or with "" a question only. It returns what holds now.
func (l *logLevels) change(text string) (now string, err error) {
	if text != "" {
		if err := l.Set(text); err != nil {
			return "", err
		}
	}
	return l.String(), nil
}

var levelNames = []string{"debug", "info", "warn", "error", "off"}

func levelName(level slog.Level) string {
	if level == logOff {
		return "off"
	}
	return strings.ToLower(level.String())
}

func parseLevel(text string) (level slog.Level, err error) {
	if text = strings.ToLower(text); !slices.Contains(levelNames, text) {
		return 0, fmt.Errorf("no level %s: one of %s", quote(text), strings.Join(levelNames, ", "))
	}
	if text == "off" {
		return logOff, nil
	}
	return level, level.UnmarshalText([]byte(text))
}

func joined[S ~string](texts []S) string {
	var all []string
	for _, t := range texts {
		all = append(all, string(t))
	}
	return strings.Join(all, ", ")
}

// logs is where all parts log to, as text or as JSON.
type logs struct {
	levels logLevels
	format logFormat
	text   slog.Handler
	json   slog.Handler
}

func newLogs(to io.Writer) *logs {
	all := &slog.HandlerOptions{Level: slog.Level(math.MinInt)} // the parts have levels
	return &logs{text: slog.NewTextHandler(to, all), json: slog.NewJSONHandler(to, all)}
}

// logFormat is "text" or "json"; until somebody chooses, --json does.
type logFormat struct {
	name string
	json atomic.Bool
}

func (f *logFormat) Type() string   { return "format" }
func (f *logFormat) String() string { return f.name }

func (f *logFormat) Set(text string) error {
	if text != "text" && text != "json" && text != "" {
		return errors.New("text or json")
	}
	f.name = text
	f.json.Store(text == "json")
	return nil
}

// follow has the log in JSON if the output is, unless somebody said otherwise.
func (f *logFormat) follow(json bool) {
	if f.name == "" {
		f.json.Store(json)
	}
}

// of is the log of a part.
func (l *logs) of(part logPart) *slog.Logger { return slog.New(l.handler(part)) }

func (l *logs) handler(part logPart) slog.Handler {
	mark := []slog.Attr{slog.String("part", string(part))}
	return &partHandler{logs: l, part: part, text: l.text.WithAttrs(mark), json: l.json.WithAttrs(mark)}
}

// partHandler passes on what its part's level lets through, in the format that holds by then.
type partHandler struct {
	logs       *logs
	part       logPart
	text, json slog.Handler
}

// Enabled, Handle, WithAttrs and WithGroup are slog.Handler's.
func (h *partHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.logs.levels.of(h.part)
}

func (h *partHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.logs.format.json.Load() {
		return h.json.Handle(ctx, r)
	}
	return h.text.Handle(ctx, r)
}

func (h *partHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &partHandler{h.logs, h.part, h.text.WithAttrs(attrs), h.json.WithAttrs(attrs)}
}

func (h *partHandler) WithGroup(name string) slog.Handler {
	return &partHandler{h.logs, h.part, h.text.WithGroup(name), h.json.WithGroup(name)}
}
