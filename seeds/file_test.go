package seeds

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRead(t *testing.T) {
	second := key2 + "::/dns4/a.example/tcp/1"
	for what, c := range map[string]struct {
		text string
		want []string
		bad  []int
	}{
		"lines":              {seed + "\n\n# a comment\r\n  " + second + "\r\n", []string{seed, second}, nil},
		"bad lines":          {"nobody\n" + seed + "\n" + key1 + "\n", []string{seed}, []int{1, 3}},
		"JSON":               {` ["` + seed + `", "nobody", "` + second + `"]`, []string{seed, second}, []int{2}},
		"a pasted list":      {"[\n  \"" + seed + "\",\n  '" + second + "',\n]\n", []string{seed, second}, nil},
		"nothing":            {"", nil, nil},
		"no newline at last": {seed, []string{seed}, nil},
	} {
		s, err := Read(strings.NewReader(c.text), "file")
		var bad []int
		for _, b := range s.Bad {
			bad = append(bad, b.Number)
		}
		if err != nil || !slices.Equal(found(s), c.want) || !slices.Equal(bad, c.bad) {
			t.Errorf("%s: found %q, bad %v, %v", what, found(s), s.Bad, err)
		}
	}
}

func TestReadIsBounded(t *testing.T) {
	if _, err := Read(strings.NewReader(strings.Repeat("x", maxFile+1)), ""); err == nil {
		t.Error("a huge file was read")
	}
	if _, err := Read(strings.NewReader(strings.Repeat("x", 100<<10)), ""); err == nil {
		t.Error("a huge line was read")
	}
	if s, err := Read(strings.NewReader(strings.Repeat(seed+"\n", MaxRecords+5)), ""); err != nil || len(s.Peers) != MaxRecords || s.Dropped != 5 {
		t.Errorf("%d peers, %d dropped, %v", len(s.Peers), s.Dropped, err)
	}
	if _, err := Read(iotest.ErrReader(io.ErrClosedPipe), ""); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a broken file: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{
		"", seed, "# " + seed, seed + "\n" + seed, `["` + seed + `"]`, "[", `["a",]`, `[1]`, key1, key1 + "::", key1 + "::/", key1 + "::::",
		"\"" + seed + "\",", "'", ",", "\x00", "\xff\xfe", strings.ToUpper(key1) + "::/ip4/1.2.3.4/tcp/1", key1 + "::/ip6/::1/tcp/1::/ip6/::/tcp/2",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Read(strings.NewReader(text), "fuzz")
		if err != nil {
			return
		}
		again, err := Read(strings.NewReader(strings.Join(found(s), "\n")), "again")
		if err != nil || len(again.Bad) > 0 || !slices.Equal(found(again), found(s)) {
			t.Errorf("%q became %q, bad %v, %v", found(s), found(again), again.Bad, err)
		}
		for _, b := range s.Bad {
			if b.Number < 1 || b.Err == nil {
				t.Errorf("bad record %v", b)
			}
		}
	})
}
