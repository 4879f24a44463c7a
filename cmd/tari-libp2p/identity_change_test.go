package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const rustKey = "704ee6eb7c568c9c4220c92a3124bb69a53c05ec2ffd3ab06f4f78ddfde6b175"

// rustIdentity is a copy of a Rust node's identity file, and the secret key in it.
func rustIdentity(t *testing.T) (file, secret string) {
	t.Helper()
	text, err := os.ReadFile("../../node/testdata/base_node_id.json")
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "base_node_id.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`"secret_key":\s*"([0-9a-f]{64})"`).FindSubmatch(text)
	if found == nil {
		t.Fatal("no secret key in the file")
	}
	return file, string(found[1])
}

func TestIdentityNew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	at := []string{"--data-dir", dir, "--json"}
	first := command(t, append([]string{"identity", "new"}, at...)...).object(t)
	if shown := command(t, append([]string{"identity", "show"}, at...)...).object(t); shown["public_key"] != first["public_key"] {
		t.Errorf("made %v, shown %v", first, shown)
	}
	info, err := os.Stat(filepath.Join(dir, "base_node_id.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	says(t, exitUsage, "--force", append([]string{"identity", "new"}, at...)...)
	second := command(t, append([]string{"identity", "new", "--force"}, at...)...).object(t)
	if second["public_key"] == first["public_key"] {
		t.Error("the same key again")
	}
	aside, ok := second["set_aside"].(string)
	if !ok {
		t.Fatalf("printed %v", second)
	}
	if old, err := os.ReadFile(aside); err != nil || !strings.Contains(string(old), first["public_key"].(string)) {
		t.Errorf("the old one: %v", err)
	}
}

func TestIdentityOfARunningNode(t *testing.T) {
	dir := t.TempDir()
	n := startRun(t, dir)
	says(t, exitOther, "in use by another process", "identity", "new", "--force", "--data-dir", dir)
	o := command(t, "identity", "export", "--data-dir", dir).object(t)
	if o["public_key"] != key(n.peer) {
		t.Errorf("exported %v", o)
	}
}

func TestIdentityImport(t *testing.T) {
	file, secret := rustIdentity(t)
	for what, c := range map[string]struct {
		stdin string
		args  []string
	}{
		"a Rust node's file": {args: []string{file}},
		"standard input":     {stdin: read(t, file), args: []string{"-"}},
		"a secret key":       {stdin: secret + "\n", args: []string{"--hex", "-"}},
	} {
		dir := filepath.Join(t.TempDir(), "new")
		r := commandIn(t, c.stdin, append([]string{"identity", "import", "--data-dir", dir}, c.args...)...)
		if r.code != exitOK || !strings.Contains(r.out, rustKey) || strings.Contains(r.out+r.err, secret) {
			t.Errorf("%s: %+v", what, r)
		}
		says(t, exitOK, rustKey, "identity", "show", "--data-dir", dir)
		says(t, exitUsage, "--force", "identity", "import", "--data-dir", dir, file)
	}
	if read(t, file) == "" {
		t.Error("the file is gone")
	}

	dir := t.TempDir()
	open := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(open, []byte(read(t, file)), 0o644); err != nil {
		t.Fatal(err)
	}
	r := says(t, exitUsage, "does not belong on the command line", "identity", "import", "--data-dir", dir, "--hex", secret)
	if strings.Contains(r.out+r.err, secret) {
		t.Error("the secret key was printed")
	}
	says(t, exitOther, "chmod 600", "identity", "import", "--data-dir", dir, open)
	says(t, exitNotFound, "there is no file", "identity", "import", "--data-dir", dir, filepath.Join(dir, "none"))
	for _, text := range []string{"", "not hex", secret[1:], strings.Repeat("00", 32), strings.Repeat("ff", 32)} {
		if r := commandIn(t, text, "identity", "import", "--data-dir", dir, "--hex", "-"); r.code != exitUsage || text != "" && strings.Contains(r.err, text) {
			t.Errorf("%q: %+v", text, r)
		}
	}
	if r := commandIn(t, "{}", "identity", "import", "--data-dir", dir, "-"); r.code != exitUsage {
		t.Errorf("{}: %+v", r)
	}
	says(t, exitUsage, "is a folder", "identity", "import", "--data-dir", dir, dir)
	if _, err := os.Stat(filepath.Join(dir, "base_node_id.json")); err == nil {
		t.Error("an import that failed left an identity")
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestIdentityExport(t *testing.T) {
	file, secret := rustIdentity(t)
	dir, out := t.TempDir(), t.TempDir()
	says(t, exitNotFound, "no identity", "identity", "export", "--data-dir", dir)
	says(t, exitOK, rustKey, "identity", "import", "--data-dir", dir, file)
	at := func(args ...string) []string {
		return append([]string{"identity", "export", "--data-dir", dir}, args...)
	}

	public := filepath.Join(out, "public.json")
	says(t, exitOK, "without the secret key", at(public)...)
	o := command(t, at()...).object(t)
	if o["public_key"] != rustKey || o["identity_signature"] == nil {
		t.Errorf("exported %v", o)
	}
	if text := read(t, public); !strings.Contains(text, rustKey) || strings.Contains(text, secret) {
		t.Errorf("the public part: %s", text)
	}
	says(t, exitUsage, "is not overwritten", at(public)...)

	whole := filepath.Join(out, "whole.json")
	says(t, exitUsage, "needs a FILE", at("--secret")...)
	says(t, exitUsage, "--stdout", at("--stdout")...)
	says(t, exitOK, "can be this node", at("--secret", whole)...)
	says(t, exitUsage, "is not overwritten", at("--secret", whole)...)
	nowhere := filepath.Join(out, "none", "id.json")
	says(t, exitNotFound, "there is no folder", at(nowhere)...)
	says(t, exitNotFound, "there is no folder", at("--secret", nowhere)...)
	if info, err := os.Stat(whole); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the secret key: %v, %v", info.Mode(), err)
	}
	if r := command(t, at("--secret", "--stdout")...); r.code != exitOK || !strings.Contains(r.out, secret) {
		t.Errorf("to standard output: %d", r.code)
	}
	again := t.TempDir()
	says(t, exitOK, rustKey, "identity", "import", "--data-dir", again, whole)
}
