// Package bundle packs the Go SDK. The SDK is a module of its own, so that policies which use it require nothing else, and
// embedding does not reach into another module. The generator calls it, and the test that holds the packed SDK to its
// sources.
package bundle

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Pack answers a zip of the sources of the module in dir: the same bytes for the same sources. Tests and examples stay
// out: those who write policies do not need them.
func Pack(dir fs.FS) ([]byte, error) {
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	err := fs.WalkDir(dir, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name == "examples" || entry.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if ext := path.Ext(name); ext != ".go" && ext != ".mod" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		content, err := fs.ReadFile(dir, name)
		if err != nil {
			return err
		}
		// Stored, so that the bytes do not depend on a compressor; no time, for the same reason.
		file, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			return err
		}
		_, err = file.Write(content)
		return err
	})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("pack SDK: %w", err)
	}
	return packed.Bytes(), nil
}
