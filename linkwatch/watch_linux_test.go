package linkwatch

import "testing"

// FuzzRoutes: the kernel is no stranger, but the parser must not depend on that.
func FuzzRoutes(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{36, 0, 0, 0, 24, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0, 8, 0, 4, 0, 7, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, table []byte) { _ = routesIn(table) })
}

func TestRoutes(t *testing.T) {
	head := func(table byte, bits byte) []byte {
		return []byte{44, 0, 0, 0, 24, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, bits, 0, 0, table, 3, 0, 1, 0, 0, 0, 0, 8, 0, 5, 0, 10, 0, 0, 1, 8, 0, 4, 0, 7, 0, 0, 0}
	}
	for _, tc := range []struct {
		table []byte
		want  string
	}{
		{head(254, 0), "2 via 0a000001 dev 07000000"},
		{head(254, 24), ""}, // not the way to everywhere
		{head(255, 0), ""},  // not the main table
		{head(254, 0)[:20], ""},
	} {
		if got := routesIn(tc.table); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
