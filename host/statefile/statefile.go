// Package statefile keeps what a host must know when it restarts without its controller: the catalog, credentials, policies.
// A file is replaced whole or not at all, also across a crash of the machine, and a message carries a checksum, so that a
// torn or edited file reads as damaged instead of as something smaller. Whoever calls owns the path.
package statefile

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"
)

// ErrDamaged: the content does not have the checksum that it was written with.
var ErrDamaged = errors.New("checksum does not match")

// writing is the end of the name of a file that is being written. It is always the same, so that what a crash leaves is
// written over next time: some of these directories are memory, and some of these files are secret.
const writing = ".writing"

// Replace writes a file of this mode, or leaves the one that is there. The directory must exist.
func Replace(path string, content []byte, mode os.FileMode) error {
	if err := os.Remove(path + writing); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temporary, err := os.OpenFile(path+writing, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(content)
	if err == nil {
		err = temporary.Chmod(mode)
	}
	if err == nil {
		err = temporary.Sync()
	}
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(temporary.Name(), path)
}

// Write keeps a message, preceded by its SHA-256, in a file of mode 0600.
func Write(path string, message proto.Message) error {
	body, err := proto.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	sum := sha256.Sum256(body)
	return Replace(path, append(sum[:], body...), 0o600)
}

// Read fills a message from what Write kept. Errors wrap os.ErrNotExist when there is no file, and ErrDamaged.
func Read(path string, into proto.Message) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if len(content) < sha256.Size {
		return fmt.Errorf("read %s: %w", path, ErrDamaged)
	}
	sum := sha256.Sum256(content[sha256.Size:])
	if !bytes.Equal(sum[:], content[:sha256.Size]) {
		return fmt.Errorf("read %s: %w", path, ErrDamaged)
	}
	if err := proto.Unmarshal(content[sha256.Size:], into); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}
