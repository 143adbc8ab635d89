package recording

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Read reads a trace: a directory in either format, or a file of the plain one, known by their names. Files may be
// compressed, with .gz at the end of their names. Errors name the file and the line.
//
// The plain format is a file, or requests.csv in a directory, with the columns time_ms (since the start), model, size_bytes and,
// if it likes, load_ms; others are ignored. A model has one size and one load time. The other is invocations.csv and
// memory.csv in a directory, with the columns of
// https://github.com/Azure/AzurePublicDataset/blob/master/AzureFunctionsDataset2019.md: a function is a model.
func Read(path string) (*Trace, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	if !info.IsDir() {
		return readPlain(path)
	}
	if file, err := find(path, "invocations"); err == nil {
		return readAzure(path, file)
	}
	if file, err := find(path, "requests"); err == nil {
		return readPlain(file)
	}
	return nil, fmt.Errorf("read trace: %s has neither requests.csv nor invocations.csv, plain or with .gz", path)
}

// find answers the file of that name in a directory, compressed or not.
func find(dir, name string) (string, error) {
	for _, suffix := range []string{".csv", ".csv.gz"} {
		path := filepath.Join(dir, name+suffix)
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, err
		}
	}
	return "", fmt.Errorf("read trace: %s has no %s.csv, plain or with .gz", dir, name)
}

// table is a CSV file that is read row by row.
type table struct {
	path    string
	rows    *csv.Reader
	columns map[string]int
	row     []string
	closers []io.Closer
}

// open reads the header. The caller closes the table.
func open(path string) (_ *table, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	t := &table{path: path, columns: map[string]int{}, closers: []io.Closer{f}}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	var r io.Reader = f
	if filepath.Ext(path) == ".gz" {
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("read trace: %s: %w", path, err)
		}
		t.closers = append(t.closers, z)
		r = z
	}
	t.rows = csv.NewReader(r)
	t.rows.ReuseRecord = true
	header, err := t.rows.Read()
	if err != nil {
		return nil, fmt.Errorf("read trace: %s: header: %w", path, err)
	}
	for i, name := range header {
		if _, twice := t.columns[name]; twice {
			return nil, fmt.Errorf("read trace: %s:1: column %q twice", path, name)
		}
		t.columns[name] = i
	}
	return t, nil
}

func (t *table) close() {
	for _, c := range t.closers {
		_ = c.Close() // It was only read.
	}
}

// next reads a row; false at the end.
func (t *table) next() (bool, error) {
	row, err := t.rows.Read()
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read trace: %s: %w", t.path, err)
	}
	t.row = row
	return true, nil
}

// need says which of the columns are missing.
func (t *table) need(names ...string) error {
	for _, name := range names {
		if _, ok := t.columns[name]; !ok {
			return fmt.Errorf("read trace: %s:1: no column %q", t.path, name)
		}
	}
	return nil
}

func (t *table) text(column string) string { return t.row[t.columns[column]] }

// number reads an integer from the least to the most.
func (t *table) number(column string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(t.text(column), 10, 64)
	if err != nil || n < least || n > most {
		return 0, t.wrong("%s is %q, not a whole number from %d to %d", column, t.text(column), least, most)
	}
	return n, nil
}

// wrong is an error about the present row.
func (t *table) wrong(format string, args ...any) error {
	line, _ := t.rows.FieldPos(0)
	return fmt.Errorf("read trace: %s:%d: %s", t.path, line, fmt.Sprintf(format, args...))
}
