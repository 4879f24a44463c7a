package node

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
)

// base_node_id.json was written by a Rust base node, for a key that nobody uses.
const rustFile = "testdata/base_node_id.json"

func rustText(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(rustFile)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParseIdentityOfRust(t *testing.T) {
	id, err := ParseIdentity(rustText(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := id.String(), "704ee6eb7c568c9c4220c92a3124bb69a53c05ec2ffd3ab06f4f78ddfde6b175"; got != want {
		t.Errorf("public key %s, want %s", got, want)
	}
	if id.Features != identityproto.FeatureNode || len(id.Addresses) != 0 {
		t.Errorf("features %v, addresses %v", id.Features, id.Addresses)
	}
	// ParseIdentity drops a signature that is not valid: the Rust node's is.
	if id.Signature == nil {
		t.Fatal("the Rust node's signature is not valid")
	}
	if want := time.Date(2026, 11, 22, 12, 13, 16, 499938773, time.UTC); !id.Signature.UpdatedAt.Equal(want) {
		t.Errorf("signed at %v, want %v", id.Signature.UpdatedAt, want)
	}
}

// What we write differs from the Rust node's file in the comment line alone.
func TestEncodeAsRust(t *testing.T) {
	text := rustText(t)
	id, err := ParseIdentity(text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := id.Encode(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := bytes.Cut(text, []byte("\n"))
	comment, got, _ := bytes.Cut(got, []byte("\n"))
	if !bytes.Equal(got, want) {
		t.Errorf("wrote\n%s\nwant\n%s", got, want)
	}
	if !bytes.HasPrefix(comment, []byte("// ")) {
		t.Errorf("comment line: %q", comment)
	}
}

// identityForm is a text, and what ParseIdentity is to say of it: part of an error, or else whether its signature is good.
type identityForm struct {
	text   string
	err    string
	signed bool
}

func identityForms(t testing.TB) map[string]identityForm {
	t.Helper()
	rust := string(rustText(t))
	edit := func(pairs ...string) string {
		text := strings.NewReplacer(pairs...).Replace(rust)
		if text == rust {
			t.Fatalf("nothing replaced: %q", pairs)
		}
		return text
	}
	signature := rust[strings.Index(rust, `{"version"`) : len(rust)-1]
	return map[string]identityForm{
		"as it is":             {text: rust, signed: true},
		"no comment":           {text: rust[strings.Index(rust, "{"):], signed: true},
		"JSON5":                {text: edit(`"secret_key":"`, `secret_key : /* ours */ '`, `6d07",`, `6d07',`, `}}`, `},}`), signed: true},
		"unknown field":        {text: edit(`{"node_id"`, `{"extra":[1,{"a":null}],"node_id"`), signed: true},
		"no signature":         {text: edit(`,"identity_signature":`+signature, "")},
		"null signature":       {text: edit(signature, "null")},
		"signature of another": {text: edit(`"public_addresses":[]`, `"public_addresses":["/ip4/1.2.3.4/tcp/18189"]`)},
		"form of 2020": {text: edit(`"public_addresses":[]`, `"public_address":"/ip4/1.2.3.4/tcp/18189"`,
			`"MESSAGE_PROPAGATION | DHT_STORE_FORWARD"`, `{"bits":3}`, `,"identity_signature":`+signature, "")},

		"empty":                 {text: "", err: "not JSON5"},
		"comment only":          {text: "// nothing", err: "not JSON5"},
		"cut":                   {text: rust[:len(rust)-1], err: "not JSON5"},
		"two objects":           {text: rust + "{}", err: "not JSON5"},
		"an array":              {text: "[]", err: "not JSON5"},
		"null":                  {text: "null", err: "secret_key"},
		"empty object":          {text: "{}", err: "secret_key"},
		"wrong kind":            {text: edit(`"public_addresses":[]`, `"public_addresses":{}`), err: "wrong kind"},
		"node id of another":    {text: edit("e0947c", "e0947d"), err: "node_id does not belong"},
		"no node id":            {text: edit(`"node_id"`, `"n"`), err: "node_id does not belong"},
		"public key of another": {text: edit("704ee6", "704ee7"), err: "public_key does not belong"},
		"secret key too short":  {text: edit(`"secret_key":"33`, `"secret_key":"`), err: "secret_key is missing or"},
		"secret key zero":       {text: edit("33677e9aa473ff797cbe6d3e4968ee0e65d5f6c85dccedaef6676150e0276d07", strings.Repeat("0", 64)), err: "secret_key is missing or"},
		"secret key too large":  {text: edit("33677e9aa473ff797cbe6d3e4968ee0e65d5f6c85dccedaef6676150e0276d07", strings.Repeat("f", 64)), err: "secret_key is missing or"},
		"unknown feature":       {text: edit("DHT_STORE_FORWARD", "DHT_STORE_BACKWARD"), err: "wrong kind"},
		"no features":           {text: edit(`"features":`, `"f":`), err: "features is missing"},
		"features a number":     {text: edit(`"MESSAGE_PROPAGATION | DHT_STORE_FORWARD"`, "3"), err: "wrong kind"},
		"bad address":           {text: edit(`"public_addresses":[]`, `"public_addresses":["/ip4/1.2.3"]`), err: "public address 1"},
		"bad nonce":             {text: edit(`"public_nonce":"04`, `"public_nonce":"05`), err: "public_nonce"},
		"bad scalar":            {text: edit(`"signature":"51`, `"signature":"`), err: "32 bytes"},
		"bad time":              {text: edit("2026-11-22", "2026-13-22"), err: "updated_at"},
		"bad version":           {text: edit(`"version":0`, `"version":256`), err: "wrong kind"},
		"too long":              {text: rust + strings.Repeat(" ", MaxIdentityFile), err: "more than"},
	}
}

func TestParseIdentityForms(t *testing.T) {
	for name, c := range identityForms(t) {
		t.Run(name, func(t *testing.T) {
			id, err := ParseIdentity([]byte(c.text))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want one with %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if signed := id.Signature != nil; signed != c.signed {
				t.Errorf("signed %v, want %v", signed, c.signed)
			}
		})
	}
}

func TestEncodeSigns(t *testing.T) {
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	id.Addresses = []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/18189"), ma.StringCast("/dns4/node.example/tcp/1")}
	text, err := id.Encode(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseIdentity(text)
	if err != nil {
		t.Fatal(err)
	}
	if back.Signature == nil {
		t.Error("the signature is not valid when read back")
	}
	if !back.Key.Equal(id.Key) || len(back.Addresses) != 2 || !back.Addresses[1].Equal(id.Addresses[1]) {
		t.Errorf("read back %v %v", back, back.Addresses)
	}
}

// Nothing that prints an identity prints its secret key.
func TestIdentityDoesNotPrintItsSecret(t *testing.T) {
	id, err := ParseIdentity(rustText(t))
	if err != nil {
		t.Fatal(err)
	}
	secret := hex.EncodeToString(id.Key.Bytes())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		for _, v := range []any{id, *id, id.Key} {
			if text := fmt.Sprintf(verb, v); strings.Contains(strings.ToLower(text), secret[:16]) {
				t.Errorf("%s of %T shows the secret key", verb, v)
			}
		}
	}
}

func TestLoadIdentityPermissions(t *testing.T) {
	text := rustText(t)
	write := func(t *testing.T, mode fs.FileMode) string {
		path := filepath.Join(t.TempDir(), "id.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for mode, ok := range map[fs.FileMode]bool{0o600: true, 0o400: true, 0o700: true, 0o640: false, 0o604: false, 0o644: false, 0o620: false, 0o602: false, 0o601: false, 0o666: false} {
		t.Run(mode.String(), func(t *testing.T) {
			path := write(t, mode)
			_, err := LoadIdentity(path)
			if ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var permission *PermissionError
			if !errors.As(err, &permission) || !strings.Contains(err.Error(), "chmod 600 "+path) {
				t.Errorf("error %v, want the chmod that cures it", err)
			}
			if _, _, err := LoadOrCreateIdentity(path, time.Now()); !errors.As(err, &permission) {
				t.Errorf("LoadOrCreateIdentity: %v", err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, text) {
				t.Errorf("the file was touched: %v", err)
			}
		})
	}
	t.Run("symbolic link", func(t *testing.T) {
		path := write(t, 0o600)
		link := path + ".link"
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(link); !errors.As(err, new(*PermissionError)) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("folder", func(t *testing.T) {
		if _, err := LoadIdentity(t.TempDir()); !errors.As(err, new(*PermissionError)) {
			t.Errorf("error %v", err)
		}
	})
}

func TestLoadOrCreateIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "id.json")
	first, aside, err := LoadOrCreateIdentity(path, time.Now())
	if err != nil || aside != "" {
		t.Fatal(aside, err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	second, aside, err := LoadOrCreateIdentity(path, time.Now())
	if err != nil || aside != "" {
		t.Fatal(aside, err)
	}
	if !second.Key.Equal(first.Key) {
		t.Error("a second start has another key")
	}
	onlyFile(t, path)
}

// A file without an identity is set aside under a free name, and keeps its bytes.
func TestCorruptIdentityIsSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "id.json")
	now := time.Unix(1700000000, 0)
	for n, want := range []string{".1700000000.bak", ".1700000000.1.bak", ".1700000000.2.bak"} {
		text := fmt.Sprintf("damaged %d", n)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		id, aside, err := LoadOrCreateIdentity(path, now)
		if err != nil {
			t.Fatal(err)
		}
		if aside != path+want {
			t.Errorf("set aside as %s, want %s", aside, path+want)
		}
		if got, err := os.ReadFile(aside); err != nil || string(got) != text {
			t.Errorf("set aside: %q, %v", got, err)
		}
		if back, err := LoadIdentity(path); err != nil || !back.Key.Equal(id.Key) {
			t.Errorf("the new identity does not load: %v", err)
		}
	}
	if _, err := LoadIdentity(path + ".1700000000.bak"); !errors.As(err, new(*CorruptIdentityError)) {
		t.Errorf("error %v", err)
	}
}

func TestSaveReplacesALink(t *testing.T) {
	dir := t.TempDir()
	target, path := filepath.Join(dir, "target"), filepath.Join(dir, "id.json")
	if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	// What a killed process left must not stand in the way.
	if err := os.WriteFile(filepath.Join(dir, ".id.json.tmp"), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := id.Save(path, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(target); string(got) != "precious" {
		t.Errorf("the link was followed: %q", got)
	}
	if back, err := LoadIdentity(path); err != nil || !back.Key.Equal(id.Key) {
		t.Errorf("read back: %v", err)
	}
}

func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("files left behind: %v", entries)
	}
}

var hexRun = regexp.MustCompile("[0-9a-fA-F]{32}")

// FuzzIdentityFile: nothing panics, no error quotes the file, and what was read is read back the same after writing.
func FuzzIdentityFile(f *testing.F) {
	for _, form := range identityForms(f) {
		f.Add([]byte(form.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		id, err := ParseIdentity(text)
		if err != nil {
			if hexRun.MatchString(err.Error()) {
				t.Fatalf("the error quotes the file: %v", err)
			}
			return
		}
		out, err := id.Encode(time.Unix(1700000000, 0))
		if err != nil {
			t.Skip() // more addresses than a claim can carry
		}
		back, err := ParseIdentity(out)
		if err != nil {
			t.Fatalf("what we wrote does not parse: %v", err)
		}
		if !back.Key.Equal(id.Key) || back.Features != id.Features || len(back.Addresses) != len(id.Addresses) || back.Signature == nil {
			t.Fatalf("read back %v, wrote %v", back, id)
		}
		again, err := back.Encode(time.Unix(1800000000, 0))
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("written twice:\n%s\n%s\n%v", out, again, err)
		}
	})
}
