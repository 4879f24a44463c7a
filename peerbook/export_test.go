package peerbook

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// various is a book with something in every field of some record.
func various(t testing.TB) *Book {
	t.Helper()
	b := openOn(t, newStore(), Config{})
	must(t, b.Claimed(claim(t, 1, 1_700_000_000, 1, 2), Meeting{Network: "esmeralda", Dialed: addr(2), Took: 250 * time.Millisecond}))
	must(t, b.Dialed(id(1), addr(1), 0, errors.New("refused, \"quoted\"")))
	must(t, b.Put(Record{Key: key(2), Seed: true, Addresses: given(Configured, 5)}))
	must(t, b.BanByOperator(id(2), Forever, "=HYPERLINK(\"x\")"))
	must(t, b.Ban(id(3), 1000*time.Hour, "spam, żółw"))
	strange := unsigned(4, 4)
	strange.UserAgent, strange.Protocols = "hex:41\xff\n", []protocol.ID{"\xfe", "t/msg/0.1"}
	must(t, b.Claimed(strange, Meeting{}))
	must(t, b.Ban(id(4), time.Hour, "spam"))
	must(t, b.Unban(id(4)))
	must(t, b.Protect(id(5), true))
	must(t, b.Allow(id(6), true))
	must(t, b.Put(Record{Key: key(7), Addresses: []Address{{Addr: mustAddr("/dns4/a.example/tcp/1"), Source: Relayed}}}))
	must(t, b.Ban(id(7), 1000*time.Hour, "banned, and removed"))
	must(t, b.Remove(id(7)))
	must(t, b.Put(Record{Key: key(8)}))
	must(t, b.Remove(id(8)))
	return b
}

// export leaves out the quality of addresses, which changes by the second.
func export(t testing.TB, b *Book, f Format) string {
	t.Helper()
	var out bytes.Buffer
	must(t, b.Export(&out, f, nil))
	return regexp.MustCompile(`"quality":[0-9]+`).ReplaceAllString(out.String(), `"quality":0`)
}

func TestJSONLosesNothing(t *testing.T) {
	b := various(t)
	text := export(t, b, JSON)
	other := openOn(t, newStore(), Config{})
	done, err := other.Import(iotest.OneByteReader(strings.NewReader(text)), JSON)
	must(t, err)
	if done.Added != 7 || done.Merged != 0 || done.Bad != 0 {
		t.Fatalf("%+v %v", done, done.Errors)
	}
	for n := 1; n <= 7; n++ {
		if got, want := other.peers[key(n)], b.peers[key(n)]; !reflect.DeepEqual(got, want) {
			t.Errorf("peer %d\ngot  %+v\nwant %+v", n, got, want)
		}
	}
	if other.peers[key(8)] != nil {
		t.Error("a removed peer without a ban was exported")
	}
	if r := get(t, other, 1); r.Claim.VerifySignature(time.Now()) != nil {
		t.Error("the claim's signature does not hold any more")
	}
	// Again, and nothing changes.
	done, err = other.Import(strings.NewReader(text), JSON)
	must(t, err)
	if again := export(t, other, JSON); again != text || done.Bad != 0 || done.Added != 1 || done.Merged != 6 {
		t.Errorf("a second import made of\n%s\nthis\n%s\n%+v", text, again, done)
	}
	var some bytes.Buffer
	must(t, b.Export(&some, JSON, func(r Record) bool { return r.Seed }))
	if n := strings.Count(some.String(), "\n"); n != 2 {
		t.Errorf("%d lines of seeds", n)
	}
}

func TestCSV(t *testing.T) {
	b := various(t)
	text := export(t, b, CSV)
	table, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	must(t, err)
	if len(table) != 8 || strings.Count(text, "\n") != 8 {
		t.Fatalf("%d lines", len(table))
	}
	for _, line := range table[1:] {
		for _, field := range line {
			if field != "" && strings.ContainsAny(field[:1], "=+-@") {
				t.Errorf("a formula: %q", field)
			}
		}
	}
	other := openOn(t, newStore(), Config{})
	done, err := other.Import(strings.NewReader("\ufeff"+strings.ReplaceAll(text, "\n", "\r\n")), CSV)
	must(t, err)
	if done.Added != 7 || done.Bad != 0 {
		t.Fatalf("%+v %v", done, done.Errors)
	}
	for n := 1; n <= 7; n++ {
		got, want := other.peers[key(n)], b.peers[key(n)]
		same := got.Seed == want.Seed && got.Protected == want.Protected && got.Allowed == want.Allowed && got.Features == want.Features &&
			got.Ban.Until.Equal(want.Ban.Until.Truncate(time.Second)) && got.Ban.Source == want.Ban.Source && len(got.Addresses) == len(want.Addresses)
		if !same {
			t.Errorf("peer %d\ngot  %+v\nwant %+v", n, got, want)
		}
	}
}

// What a person writes, with few columns in another order.
func TestImportOfFewColumns(t *testing.T) {
	b := openOn(t, newStore(), Config{})
	text := "note,addresses,public_key,seed\n" +
		"mine," + addr(1).String() + " " + addr(2).String() + " " + addr(1).String() + "," + key(1).String() + ",yes\n\n" +
		"bad,nonsense," + key(2).String() + ",\n" +
		"bad,," + key(2).String() + ",perhaps\n" +
		"bad," + key(3).String() + "\n" +
		"bad,\"\n" +
		"bad,,nokey,\n" +
		"good,," + key(4).String() + ","
	done, err := b.Import(strings.NewReader(text), CSV)
	must(t, err)
	if done.Added != 2 || done.Bad != 5 || len(done.Errors) != 5 || done.Errors[0].Line != 4 || done.Errors[4].Line != 8 {
		t.Fatalf("%+v %v", done, done.Errors)
	}
	r := get(t, b, 1)
	sameAddrs(t, r, 1, 2)
	if !r.Seed || r.Addresses[0].Source != Configured {
		t.Errorf("%+v", r)
	}
	if _, ok := b.Get(id(2)); ok {
		t.Error("a bad line was taken in half")
	}
}

func TestImportJoins(t *testing.T) {
	line := func(n int, rest string) string { return fmt.Sprintf("{\"public_key\":%q%s}\n", key(n).String(), rest) }
	until := time.Now().Add(100 * time.Hour).UTC().Format(time.RFC3339)
	ban := func(source string, generation int) string {
		return fmt.Sprintf(`,"ban":{"until":%q,"reason":"imported","source":%q,"generation":%d}`, until, source, generation)
	}
	b := openOn(t, newStore(), Config{})
	for n := 1; n <= 7; n++ {
		must(t, b.Put(Record{Key: key(n), Addresses: given(Relayed, n)}))
	}
	must(t, b.Ban(id(2), time.Hour, "short"))
	must(t, b.Ban(id(3), Forever, "long"))
	must(t, b.Unban(id(4)))
	must(t, b.Allow(id(5), true))
	must(t, b.Allow(id(6), true))
	must(t, b.Remove(id(7)))
	done, err := b.Import(strings.NewReader(
		line(1, ban("", 0)+`,"addresses":[{"address":"`+addr(9).String()+`","source":"claimed"}]`)+line(2, ban("program", 3))+line(3, ban("operator", 0))+
			line(4, ban("", 0))+line(5, ban("program", 0))+line(6, ban("operator", 0))+line(7, `,"network":"igor"`)), JSON)
	must(t, err)
	if done.Merged != 6 || done.Added != 1 || done.Bad != 0 {
		t.Fatalf("%+v %v", done, done.Errors)
	}
	for n, want := range []string{1: "imported", 2: "imported", 3: "long", 4: "", 5: "", 6: "imported", 7: ""} {
		if n == 0 {
			continue
		}
		r := get(t, b, n)
		if reason := r.Ban.Reason; reason != want || r.Banned(time.Now()) != (want != "") {
			t.Errorf("peer %d: banned for %q, want %q", n, reason, want)
		}
	}
	sameAddrs(t, get(t, b, 1), 9, 1)
	if get(t, b, 2).Ban.Generation != 3 || get(t, b, 7).Network != "igor" {
		t.Error("the generation or the network of an import is lost")
	}
}

func TestBadLines(t *testing.T) {
	good := strings.Split(export(t, various(t), JSON), "\n")
	pub := `{"public_key":"` + key(1).String() + `"`
	forged := claim(t, 1, 5, 1)
	forged.Signature.S[0] ^= 1
	raw, err := forged.MarshalBinary()
	must(t, err)
	others, err := claim(t, 2, 5, 1).MarshalBinary()
	must(t, err)
	for name, bad := range map[string]string{
		"no JSON":              "what is this",
		"half a line":          good[1][:len(good[1])/2],
		"a list":               "[]",
		"no key":               "{}",
		"not a key":            `{"public_key":"` + strings.Repeat("f", 64) + `"}`,
		"another node id":      pub + `,"node_id":"` + key(2).NodeID().String() + `"}`,
		"a bad address":        pub + `,"addresses":[{"address":"/ip4/1.2.3/tcp/1"}]}`,
		"no address":           pub + `,"addresses":[{"address":"hex:"}]}`,
		"a source of its own":  pub + `,"addresses":[{"address":"/ip4/1.2.3.4/tcp/1","source":"dream"}]}`,
		"eleven addresses":     pub + `,"addresses":[` + strings.Repeat(`{"address":"/ip4/1.2.3.4/tcp/1"},`, 10) + `{"address":"/ip4/1.2.3.4/tcp/1"}]}`,
		"a ban by nobody":      pub + `,"ban":{"source":"nobody"}}`,
		"a bad time":           pub + `,"last_seen":"yesterday"}`,
		"too many protocols":   pub + `,"protocols":[` + strings.Repeat(`"",`, maxProtocols) + `""]}`,
		"bad hexadecimal":      pub + `,"user_agent":"hex:zz"}`,
		"a forged claim":       pub + fmt.Sprintf(`,"claim":"%x"}`, raw),
		"another peer's claim": pub + fmt.Sprintf(`,"claim":"%x"}`, others),
		"half a claim":         pub + fmt.Sprintf(`,"claim":"%x"}`, raw[:50]),
		"no claim":             pub + `,"claim":"xx"}`,
		"too long":             pub + `,"user_agent":"` + strings.Repeat("x", maxImportLine) + `"}`,
		"a large record":       pub + `,"user_agent":"` + strings.Repeat("x", maxRecord) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			b := openOn(t, newStore(), Config{})
			done, err := b.Import(strings.NewReader(good[0]+"\n"+bad+"\n\n"+good[2]+"\n"), JSON)
			must(t, err)
			if done.Added != 1 || done.Bad != 1 || len(b.peers) != 1 {
				t.Fatalf("%+v", done)
			}
			if e := done.Errors[0]; e.Line != 2 || strings.Contains(e.Error(), "what") || len(e.Error()) > 100 {
				t.Errorf("%v", e)
			}
		})
	}
}

func TestManyBadLines(t *testing.T) {
	b := openOn(t, newStore(), Config{})
	done, err := b.Import(strings.NewReader(strings.Repeat("nonsense\n", 5000)), JSON)
	must(t, err)
	if done.Bad != 5000 || len(done.Errors) != maxImportErrors {
		t.Errorf("%d bad lines, %d told", done.Bad, len(done.Errors))
	}
}

func TestImportFails(t *testing.T) {
	b := openOn(t, newStore(), Config{})
	for f, text := range map[Format]string{JSON: `{"format":"tari-libp2p peers","version":2}`, CSV: "a,b\n"} {
		if _, err := b.Import(strings.NewReader(text), f); !errors.Is(err, ErrNoExport) {
			t.Errorf("%s: %v", f, err)
		}
	}
	if _, err := b.Import(strings.NewReader(""), "xml"); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
	if err := b.Export(io.Discard, "xml", nil); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
	broken := errors.New("the pipe broke")
	line := `{"public_key":"` + key(1).String() + "\"}\n"
	done, err := b.Import(io.MultiReader(strings.NewReader(line), iotest.ErrReader(broken)), JSON)
	if !errors.Is(err, broken) || done.Added != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	reader, writer := io.Pipe()
	reader.CloseWithError(broken)
	if err := b.Export(writer, JSON, nil); !errors.Is(err, broken) {
		t.Errorf("Export: %v", err)
	}
	store := &counting{Datastore: newStore()}
	full := openOn(t, store, Config{})
	store.fail = broken
	if _, err := full.Import(strings.NewReader(line), JSON); !errors.Is(err, broken) {
		t.Errorf("a full disk: %v", err)
	}
	store.fail = nil
	must(t, full.Close())
	if _, err := full.Import(strings.NewReader(line), JSON); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed book: %v", err)
	}
}

// FuzzImport: no input panics, and what was taken comes out again and in again.
func FuzzImport(f *testing.F) {
	b := various(f)
	f.Add(true, export(f, b, JSON))
	f.Add(false, export(f, b, CSV))
	for _, line := range strings.Split(export(f, b, JSON), "\n") {
		f.Add(true, line)
	}
	f.Add(false, "addresses,public_key\n/ip4/1.2.3.4/tcp/1,"+key(1).String())
	f.Fuzz(func(t *testing.T, asJSON bool, text string) {
		format := CSV
		if asJSON {
			format = JSON
		}
		b, err := OpenOn(newStore(), Config{})
		must(t, err)
		done, err := b.Import(strings.NewReader(text), format)
		if err != nil && !errors.Is(err, ErrNoExport) {
			t.Fatal(err)
		}
		if done.Bad > strings.Count(text, "\n")+1 || len(done.Errors) > done.Bad {
			t.Fatalf("%+v", done)
		}
		first := export(t, b, JSON)
		other, err := OpenOn(newStore(), Config{})
		must(t, err)
		done, err = other.Import(strings.NewReader(first), JSON)
		must(t, err)
		if second := export(t, other, JSON); second != first || done.Bad != 0 {
			t.Fatalf("first  %s\nsecond %s\n%v", first, second, done.Errors)
		}
		for _, r := range b.List(nil) {
			if r.Key.IsZero() || len(r.Addresses) > MaxAddresses {
				t.Fatalf("%+v", r)
			}
		}
	})
}
