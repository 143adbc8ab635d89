package catalog

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"google.golang.org/protobuf/proto"
)

// Files in the state directory. Both are a SHA-256 followed by one message of the sync protocol, so that a torn or edited
// file reads as absent instead of as a smaller catalog.
const (
	catalogFile     = "catalog.pb"
	credentialsFile = "credentials.pb"
)

var errDamaged = errors.New("checksum does not match")

// saveTable writes the table as one complete update.
func saveTable(dir string, t *Table) error {
	update := &syncv1.Update{Version: t.version, Complete: true, Upserts: make([]*syncv1.Row, 0, len(t.rows))}
	for _, row := range t.rows {
		update.Upserts = append(update.Upserts, row)
	}
	return writeMessage(filepath.Join(dir, catalogFile), update)
}

// loadTable answers an incomplete table when there is none on disk.
func loadTable(dir string) (*Table, error) {
	var update syncv1.Update
	if err := readMessage(filepath.Join(dir, catalogFile), &update); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return emptyTable(), nil
		}
		return emptyTable(), err
	}
	return NewTable(update.GetVersion(), update.GetUpserts()...), nil
}

// saveCredentials keeps what the host needs to load models when it restarts without its controller. Mode 0600; in a
// cluster the directory is memory.
func saveCredentials(dir string, credentials *syncv1.Credentials) error {
	return writeMessage(filepath.Join(dir, credentialsFile), credentials)
}

func loadCredentials(dir string) (*syncv1.Credentials, error) {
	credentials := &syncv1.Credentials{}
	if err := readMessage(filepath.Join(dir, credentialsFile), credentials); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	return credentials, nil
}

// writeMessage replaces the file whole or not at all, also across a crash of the machine.
func writeMessage(path string, message proto.Message) error {
	body, err := proto.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	sum := sha256.Sum256(body)
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(append(sum[:], body...))
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

func readMessage(path string, into proto.Message) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if len(content) < sha256.Size {
		return fmt.Errorf("read %s: %w", path, errDamaged)
	}
	sum := sha256.Sum256(content[sha256.Size:])
	if !bytes.Equal(sum[:], content[:sha256.Size]) {
		return fmt.Errorf("read %s: %w", path, errDamaged)
	}
	if err := proto.Unmarshal(content[sha256.Size:], into); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}
