package peerbook

import (
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	badger4 "github.com/ipfs/go-ds-badger4"
)

// filled is a closed book in a new folder, and what is in it.
func filled(t *testing.T) (dir string, want []Record) {
	t.Helper()
	dir = t.TempDir()
	b, err := Open(dir, Config{})
	must(t, err)
	for n := range 30 {
		must(t, b.Claimed(unsigned(n, n), Meeting{}))
	}
	for n := range 5 {
		must(t, b.Ban(id(n), Forever, "spam"))
	}
	want = b.List(nil)
	must(t, b.Close())
	return dir, want
}

func copied(t *testing.T, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "book")
	must(t, os.CopyFS(dir, os.DirFS(from)))
	return dir
}

func overwrite(t *testing.T, file string, data []byte) {
	t.Helper()
	must(t, os.Remove(file))
	if data != nil {
		must(t, os.WriteFile(file, data, 0o600))
	}
}

// Whatever happens to one of the engine's files while the book is closed,
// nothing is lost, nothing panics, and it can be told.
func TestDamagedFiles(t *testing.T) {
	from, want := filled(t)
	random := rand.New(rand.NewSource(1))
	files, err := filepath.Glob(filepath.Join(from, engineName, "*"))
	must(t, err)
	for i, file := range files {
		data, err := os.ReadFile(file)
		must(t, err)
		damages := map[string][]byte{"gone": nil, "empty": {}, "longer": append(data[:len(data):len(data)], 0)}
		for range 3 {
			if len(data) == 0 {
				break
			}
			n := random.Intn(len(data))
			damages[fmt.Sprint("cut at ", n)] = data[:n]
			flipped := append([]byte(nil), data...)
			flipped[n] ^= 1 << random.Intn(8)
			damages[fmt.Sprint("flipped at ", n)] = flipped
		}
		for name, damaged := range damages {
			if damaged != nil && len(damaged) == len(data) && reflect.DeepEqual(damaged, data) {
				continue
			}
			t.Run(fmt.Sprintf("%d %s", i, name), func(t *testing.T) {
				dir := copied(t, from)
				overwrite(t, filepath.Join(dir, engineName, filepath.Base(file)), damaged)
				b, err := Open(dir, Config{})
				must(t, err)
				if got := b.List(nil); !reflect.DeepEqual(got, want) {
					t.Errorf("%d of %d records", len(got), len(want))
				}
				s := b.Stats()
				if s.Banned != 5 || s.Corrupt != 0 || s.Damaged == "" || s.Damage == "" {
					t.Errorf("%+v", s)
				}
				if _, err := os.Stat(s.Damaged); err != nil {
					t.Errorf("nothing was set aside: %v", err)
				}
				must(t, b.Close())
				b, err = Open(dir, Config{})
				must(t, err)
				if s := b.Stats(); s.Damaged != "" || s.Peers != len(want) {
					t.Errorf("the next time: %+v", s)
				}
				must(t, b.Close())
			})
		}
	}
}

// After a crash nothing is known of the files, but an empty book beside a full
// backup is no new book.
func TestManifestLostInACrash(t *testing.T) {
	from, want := filled(t)
	dir := copied(t, from)
	must(t, os.Remove(filepath.Join(dir, closedName)))
	must(t, os.RemoveAll(filepath.Join(dir, engineName)))
	b, err := Open(dir, Config{})
	must(t, err)
	if got := b.List(nil); !reflect.DeepEqual(got, want) || b.Stats().Damaged == "" {
		t.Errorf("%d of %d records, %+v", len(got), len(want), b.Stats())
	}
	must(t, b.Close())
}

func TestDamagedWithoutBackup(t *testing.T) {
	from, _ := filled(t)
	for name, backup := range map[string][]byte{"gone": nil, "empty": {}, "not a backup": []byte(strings.Repeat("x", 1000))} {
		t.Run(name, func(t *testing.T) {
			dir := copied(t, from)
			manifest := filepath.Join(dir, engineName, "MANIFEST")
			overwrite(t, manifest, []byte("nonsense"))
			overwrite(t, filepath.Join(dir, backupName), backup)
			for range 2 { // it is not forgotten
				var damaged *DamagedError
				if _, err := Open(dir, Config{}); !errors.As(err, &damaged) || !errors.Is(err, errDamaged) {
					t.Errorf("Open: %v", err)
				}
			}
			if data, err := os.ReadFile(manifest); err != nil || string(data) != "nonsense" {
				t.Errorf("the damaged file was touched: %q, %v", data, err)
			}
		})
	}
}

// A backup that is damaged itself does no harm as long as nobody needs it.
func TestDamagedBackup(t *testing.T) {
	from, want := filled(t)
	dir := copied(t, from)
	overwrite(t, filepath.Join(dir, backupName), []byte("nonsense"))
	b, err := Open(dir, Config{})
	must(t, err)
	if got := b.List(nil); !reflect.DeepEqual(got, want) || b.Stats().Damaged != "" {
		t.Errorf("%d records, %+v", len(got), b.Stats())
	}
	must(t, b.Close())
	if records, err := readBackup(dir); err != nil || len(records) != len(want) {
		t.Errorf("the new backup: %d records, %v", len(records), err)
	}
}

func TestBackupIsWholeOrNone(t *testing.T) {
	dir := t.TempDir()
	b := openOn(t, newStore(), Config{})
	for n := range 3 {
		must(t, b.Claimed(unsigned(n, n), Meeting{}))
	}
	must(t, b.Ban(id(1), time.Hour, "spam"))
	must(t, writeBackup(dir, b.peers))
	path := filepath.Join(dir, backupName)
	data, err := os.ReadFile(path)
	must(t, err)
	records, err := readBackup(dir)
	must(t, err)
	for _, r := range records {
		if !reflect.DeepEqual(r, b.peers[r.Key]) {
			t.Errorf("%+v came back as %+v", b.peers[r.Key], r)
		}
	}
	for n := 0; n < len(data); n += 1 + n/100 {
		must(t, os.WriteFile(path, data[:n], 0o600))
		if _, err := readBackup(dir); err == nil {
			t.Fatalf("half a backup of %d bytes was read", n)
		}
	}
	huge := append([]byte(backupMagic), 0xff, 0xff, 0xff, 0xff)
	must(t, os.WriteFile(path, huge, 0o600))
	if _, err := readBackup(dir); err == nil {
		t.Error("a backup of four thousand million records was read")
	}
}

// A folder without the right to write is told as that, and is no damage.
func TestReadOnlyFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere; see TestReadOnlyDisk")
	}
	dir, _ := filled(t)
	for _, name := range []string{dir, filepath.Join(dir, engineName)} {
		must(t, os.Chmod(name, 0o500))
		var readOnly *ReadOnlyError
		if b, err := Open(dir, Config{}); !errors.As(err, &readOnly) || readOnly.Dir != dir {
			t.Errorf("Open: %v, %v", b, err)
		}
		must(t, os.Chmod(name, 0o700))
	}
}

// A book that was not closed when its engine had larger tables in memory opens,
// and has all that was in its log.
func TestLogOfALargerTable(t *testing.T) {
	dir := t.TempDir()
	opts := badger4.DefaultOptions
	opts.Options = opts.WithMemTableSize(4 << 20).WithValueThreshold(2 * maxRecord).WithValueLogFileSize(16 << 20)
	store, err := badger4.NewDatastore(filepath.Join(dir, engineName), &opts)
	must(t, err)
	defer store.Close()
	const many = 11_000
	old := openOn(t, store, Config{})
	for n := range many {
		must(t, old.replace(nil, &Record{Key: stranger(n).Public(), Addresses: in(n%200, n), UserAgent: strings.Repeat("x", 50)}))
	}
	must(t, old.flush(old.changes))
	if levels := store.DB.Levels(); levels[0].NumTables > 0 {
		t.Fatal("not all is in the log")
	}
	b, err := Open(copied(t, dir), Config{})
	must(t, err)
	defer b.Close()
	if n := len(b.peers); n != many {
		t.Errorf("%d peers", n)
	}
}

// Badger empties a log before it removes it, and makes a new one empty. A death in between is no damage, and costs nothing.
func TestEmptyLogAfterADeath(t *testing.T) {
	from, _ := filled(t)
	alive, err := Open(from, Config{})
	must(t, err)
	defer alive.Close()
	for n := range 10 { // the backup does not have these
		must(t, alive.Claimed(unsigned(100+n, n), Meeting{}))
	}
	must(t, alive.Ban(id(100), Forever, "spam"))
	for _, name := range []string{"99999.mem", "099999.vlog"} {
		t.Run(name, func(t *testing.T) {
			dir := copied(t, from) // as it is when the process is killed
			must(t, os.WriteFile(filepath.Join(dir, engineName, name), nil, 0o600))
			b, err := Open(dir, Config{})
			must(t, err)
			if got, want := b.List(nil), alive.List(nil); !reflect.DeepEqual(got, want) || b.Stats().Damaged != "" {
				t.Errorf("%d of %d records, %+v", len(got), len(want), b.Stats())
			}
			must(t, b.Close())
		})
	}
}
