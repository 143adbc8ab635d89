package standalone

import (
	"fmt"
	"os"
	"path/filepath"
)

// temporaryPrefix marks files that are being written; what a crash leaves of them is removed at the next start.
const temporaryPrefix = ".writing-"

// replaceFile puts data in the place of a file, durably: after a crash the file is either the old or the new one.
func replaceFile(path string, data []byte) error {
	if err := renameInto(path, data); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// renameInto is replaceFile without making the rename durable; syncFolder does that, for many files at once.
func renameInto(path string, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), temporaryPrefix+"*") // Mode 0600.
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = temporary.Write(data)
	if err == nil {
		err = temporary.Sync()
	}
	if closing := temporary.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("make %s durable: %w", path, err)
	}
	err = folder.Sync()
	if closing := folder.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("make %s durable: %w", path, err)
	}
	return nil
}
