package catalog

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/wasmesh/wasmesh/host/statefile"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Files in the state directory, each one message of the sync protocol.
const (
	catalogFile     = "catalog.pb"
	credentialsFile = "credentials.pb"
)

// saveTable writes the table as one complete update.
func saveTable(dir string, t *Table) error {
	update := &syncv1.Update{Version: t.version, Complete: true, Upserts: make([]*syncv1.Row, 0, len(t.rows))}
	for _, row := range t.rows {
		update.Upserts = append(update.Upserts, row)
	}
	return statefile.Write(filepath.Join(dir, catalogFile), update)
}

// loadTable answers an incomplete table when there is none on disk.
func loadTable(dir string) (*Table, error) {
	var update syncv1.Update
	if err := statefile.Read(filepath.Join(dir, catalogFile), &update); err != nil {
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
	return statefile.Write(filepath.Join(dir, credentialsFile), credentials)
}

func loadCredentials(dir string) (*syncv1.Credentials, error) {
	credentials := &syncv1.Credentials{}
	if err := statefile.Read(filepath.Join(dir, credentialsFile), credentials); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	return credentials, nil
}
