package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// configOf writes a configuration file.
func configOf(t *testing.T, lines ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestParseConfig: each kind of value comes through, with its line.
func TestParseConfig(t *testing.T) {
	settings, faults := parseConfig([]byte("# a comment\n\nb = true\r\nn = 1_000\n'quoted' = \"a\\tb\" # more\nlist = [\n  \"x\", # one\n  \"y\",\n]\nempty = []\nh = 0xff\n" +
		"f = 1.5\nd = 1979-05-27\nt = { a = 1 }\nmixed = [1, \"x\"]"))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	want := []setting{
		{"b", true, 3},
		{"n", int64(1000), 4},
		{"quoted", "a\tb", 5},
		{"list", []any{"x", "y"}, 6},
		{"empty", []any{}, 10},
		{"h", int64(255), 11},
		{"f", notTaken("a number with a fraction"), 12},
		{"d", notTaken("a date or time"), 13},
		{"t", notTaken("a table"), 14},
		{"mixed", []any{int64(1), "x"}, 15},
	}
	if !reflect.DeepEqual(settings, want) {
		t.Errorf("%v", settings)
	}
}

// TestParseConfigFaults: what is no list of keys says in which line, and what stands before it is known all the same.
func TestParseConfigFaults(t *testing.T) {
	for _, c := range []struct {
		text, says string
		line, keys int
	}{
		{"a = 1\nb = 2 c = 3\nd = 4", "not TOML", 2, 1},
		{"a = 1\n\nb = [1,\n", "not TOML", 3, 1},
		{"a = 1\nb = \"unfinished\n", "not TOML", 2, 1},
		{"a", "not TOML", 1, 0},
		{"\xff = 1", "not TOML", 1, 0},
		{"a = \"\x00\"", "not TOML", 1, 0},
		{"a = 1\n[t]\nb = 2", "the table [t]", 2, 1},
		{"[[\"x\ny\"]]", "not TOML", 1, 0},
		{"[[\"x\\n\"]]", `the table ["x\n"]`, 1, 0},
		{"a = 1\na = 2\na = 3\nb = 4", "in line 1 already", 2, 2},
		{"a = " + strings.Repeat("[", maxConfig-4), "not TOML", 1, 0},
	} {
		settings, faults := parseConfig([]byte(c.text))
		if len(faults) == 0 || !strings.Contains(faults[0].Error, c.says) || faults[0].Line != c.line || len(settings) != c.keys {
			t.Errorf("%.40q: %v, %v", c.text, settings, faults)
		}
	}
	if _, faults := parseConfig([]byte("a = 1\na = 2\na = 3")); len(faults) != 2 {
		t.Errorf("of two keys too many, told of %v", faults)
	}
}

// TestConfigNotRead: what is no file to read is told as such, and nothing waits for a pipe.
func TestConfigNotRead(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	huge := configOf(t, strings.Repeat("#", maxConfig+1))
	full := configOf(t, strings.Repeat("#", maxConfig))
	for _, c := range []struct {
		name, says string
		code       int
	}{
		{filepath.Join(dir, "none.toml"), "there is no file", exitNotFound},
		{dir, "not a plain file", exitUsage},
		{"/dev/zero", "not a plain file", exitUsage},
		{loop, "symbolic links", exitUsage},
		{filepath.Join(huge, "x"), "not a directory", exitUsage},
		{huge, "longer than 65536 bytes", exitUsage},
		{full, "", exitOK},
		{"/dev/null", "", exitOK},
		{"", "", exitOK},
	} {
		for _, args := range [][]string{{"identity", "show", "--data-dir", filepath.Join(dir, "data"), "--config", c.name}, {"config", "check", c.name}} {
			if r := command(t, args...); r.code != c.code || !strings.Contains(r.err, c.says) {
				t.Errorf("%q: %+v", args, r)
			}
		}
	}
	secret := configOf(t, "")
	if err := os.Chmod(secret, 0); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(secret); err == nil {
		f.Close() // we are root
	} else if r := command(t, "config", "check", secret); r.code != exitUsage || !strings.Contains(r.err, "permission denied") {
		t.Errorf("%+v", r)
	}
}

// FuzzConfigFile: whatever the file is, there is no panic; each key has one line of the file; and what has no fault can be set.
func FuzzConfigFile(f *testing.F) {
	f.Add([]byte(configText(fileOptions())))
	f.Add([]byte(uncommented(configText(fileOptions()))))
	f.Add([]byte("max-inbound = 0\nmax_inbound = 1\nlisten = [\"x\", 5]\n[table]\na = 1"))
	f.Add([]byte("tor = true\ntor = false\nx.y = 1979-05-27T07:32:00Z\n\"\" = {a = 1}\n\xff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > maxConfig {
			return
		}
		settings, faults := parseConfig(text)
		known, lines, seen := knownOptions(), strings.Count(string(text), "\n")+1, map[string]bool{}
		faults = append(faults, unknownKeys(settings, known)...)
		for _, s := range settings {
			if seen[s.key] || s.line < 1 || s.line > lines {
				t.Errorf("key %q in line %d of %d", s.key, s.line, lines)
			}
			seen[s.key] = true
			faults = append(faults, badValues(s, known[s.key])...)
		}
		for _, x := range faults {
			if x.Line < 0 || x.Line > lines || x.Error == "" || x.text("f") == "" {
				t.Errorf("%+v", x)
			}
		}
		if len(faults) > 0 {
			return
		}
		a := discarding()
		run, _, err := a.rootCommand().Find([]string{"run"})
		if err == nil {
			err = a.apply(run, configFile{name: "f", settings: settings}, func(string) string { return "" })
		}
		if err != nil {
			t.Errorf("%v in %q", err, text)
		}
	})
}

// uncommented makes every key of a file of "config init" count.
func uncommented(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if key, _, ok := strings.Cut(line, " = "); ok && strings.HasPrefix(key, "#") && !strings.Contains(key, " ") {
			line = line[1:]
		}
		out.WriteString(line)
	}
	return out.String()
}

func TestNearest(t *testing.T) {
	names := []string{"max-inbound", "peer", "tor"}
	for word, want := range map[string]string{"max_inbound": "max-inbound", "maxinbound": "max-inbound", "peers": "peer", "d": "", "": "", "wholly-other": ""} {
		if got := nearest(word, names, (len(word)+1)/3); got != want {
			t.Errorf("%q: %q", word, got)
		}
	}
	for _, c := range []struct {
		a, b string
		d    int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"log", "long", 1}, {"abc", "xyz", 3}} {
		if d := distance(c.a, c.b, 9); d != c.d {
			t.Errorf("%s to %s: %d", c.a, c.b, d)
		}
		if d := distance(c.a, c.b, 1); d != min(c.d, 1) {
			t.Errorf("%s to %s: %d of 1", c.a, c.b, d)
		}
	}
}
