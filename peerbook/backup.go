package peerbook

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/ipfs/go-datastore/query"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// The backup is
//
//	backupMagic ‖ number of records (4) ‖ for each: key (32) ‖ length (4) ‖ stored record
//
// with numbers in big endian. Every record has its own checksum.
const backupMagic = "tari peerbook backup 1\n"

// maxBackup bounds what a damaged count can make us expect.
const maxBackup = 1 << 20

func hasBackup(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, backupName))
	return err == nil
}

func writeBackup(dir string, peers map[tarikey.PublicKey]*Record) error {
	return writeBackupFile(filepath.Join(dir, backupName), len(peers), func(write func(tarikey.PublicKey, []byte) error) error {
		for key, r := range peers {
			data, err := marshalRecord(r)
			if err != nil {
				return err
			}
			if err := write(key, data); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeOldBackup keeps the records of an older layout as they are, for who
// wants to go back to the program that wrote them.
func writeOldBackup(dir string, entries []query.Entry) error {
	entries = slices.DeleteFunc(slices.Clone(entries), func(e query.Entry) bool {
		_, err := parsePeerKey(e.Key)
		return err != nil
	})
	return writeBackupFile(filepath.Join(dir, oldBackupName), len(entries), func(write func(tarikey.PublicKey, []byte) error) error {
		for _, e := range entries {
			key, err := parsePeerKey(e.Key)
			if err != nil {
				return err
			}
			if err := write(key, e.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeBackupFile writes n records, those that each passes to write.
func writeBackupFile(path string, n int, each func(write func(tarikey.PublicKey, []byte) error) error) error {
	return writeFile(path, func(w io.Writer) error {
		if _, err := w.Write(binary.BigEndian.AppendUint32([]byte(backupMagic), uint32(n))); err != nil {
			return err
		}
		return each(func(key tarikey.PublicKey, data []byte) error {
			head := binary.BigEndian.AppendUint32(key.Bytes(), uint32(len(data)))
			_, err := w.Write(append(head, data...))
			return err
		})
	})
}

// readBackup gives all records or an error.
func readBackup(dir string) ([]*Record, error) {
	var records []*Record
	err := eachInBackup(dir, nil, func(r *Record) bool {
		records = append(records, r)
		return true
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}

// eachInBackup reads the records of the keys that wanted says yes to, all if it is nil, until got says no.
func eachInBackup(dir string, wanted func(key []byte) bool, got func(*Record) bool) error {
	f, err := os.Open(filepath.Join(dir, backupName))
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	head := make([]byte, len(backupMagic)+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return err
	}
	count := binary.BigEndian.Uint32(head[len(backupMagic):])
	if string(head[:len(backupMagic)]) != backupMagic || count > maxBackup {
		return errRecord
	}
	for range count {
		record, err := readBackupRecord(r, wanted)
		if err != nil {
			return err
		}
		if record != nil && !got(record) {
			return nil
		}
	}
	return nil
}

// readBackupRecord returns nil for a key that is not wanted.
func readBackupRecord(r *bufio.Reader, wanted func(key []byte) bool) (*Record, error) {
	var head [tarikey.KeySize + 4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[tarikey.KeySize:])
	if size > maxRecord {
		return nil, errRecord
	}
	if wanted != nil && !wanted(head[:tarikey.KeySize]) {
		_, err := r.Discard(int(size))
		return nil, err
	}
	key, err := tarikey.ParsePublicKey(head[:tarikey.KeySize])
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	return decodeRecord(key, data)
}

// closedFile is what closed.json knows of one of the engine's files.
type closedFile struct {
	Size int64  `json:"size"`
	CRC  uint32 `json:"crc32c"`
}

func writeClosed(dir string) error {
	files, err := engineFiles(dir)
	if err != nil {
		return fmt.Errorf("peerbook: close: %w", err)
	}
	return writeFile(filepath.Join(dir, closedName), func(w io.Writer) error {
		return json.NewEncoder(w).Encode(files)
	})
}

// checkClosed compares the engine's files with what they were at the last
// Close. Badger itself would leave damaged tables out without a word, or
// panic. After a crash there is nothing to compare, and clean is false.
func checkClosed(dir string) (clean bool, err error) {
	path := filepath.Join(dir, closedName)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("peerbook: open: %w", err)
	}
	var want map[string]closedFile
	if err := json.Unmarshal(data, &want); err != nil {
		return false, errDamaged
	}
	got, err := engineFiles(dir)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return false, errDamaged
		}
		return false, fmt.Errorf("peerbook: open: %w", err)
	}
	for name, file := range want {
		if got[name] != file {
			return false, errDamaged
		}
	}
	// Once it is open the files change, and closed.json must not come back.
	if err := errors.Join(os.Remove(path), syncDir(dir)); err != nil {
		return false, fmt.Errorf("peerbook: open: %w", err)
	}
	return true, nil
}

// engineFiles reads all of badger's files.
func engineFiles(dir string) (map[string]closedFile, error) {
	dir = filepath.Join(dir, engineName)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string]closedFile{}
	for _, entry := range entries {
		f, err := os.Open(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		sum := crc32.New(castagnoli)
		size, err := io.Copy(sum, f)
		f.Close()
		if err != nil {
			return nil, err
		}
		files[entry.Name()] = closedFile{size, sum.Sum32()}
	}
	return files, nil
}

// writeFile puts a whole file in the place of another, or leaves that one.
func writeFile(path string, content func(io.Writer) error) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("peerbook: %w", err)
	}
	w := bufio.NewWriter(f)
	err = errors.Join(content(w), w.Flush())
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = errors.Join(os.Rename(path+".new", path), syncDir(filepath.Dir(path)))
	}
	if err != nil {
		_ = os.Remove(path + ".new") // the disk may be full
		return fmt.Errorf("peerbook: %w", err)
	}
	return nil
}
