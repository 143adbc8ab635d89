package launcher

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// meshKeyBytes is the length of the key that the hosts of one mesh share: they encrypt gossip with it and know each other
// by it.
const meshKeyBytes = 32

// meshKeyFile is where hosts read the key, in hexadecimal.
func (p Paths) meshKeyFile() string { return filepath.Join(p.Root, "mesh.key") }

// makeMeshKey makes the key of the data directory once: hosts that outlive a launcher's mesh, and those of the next, know
// each other by the same. The caller holds the lock of the directory.
func (p Paths) makeMeshKey() error {
	content, err := os.ReadFile(p.meshKeyFile())
	if errors.Is(err, fs.ErrNotExist) {
		return p.writeMeshKey()
	}
	if err != nil {
		return fmt.Errorf("read mesh key: %w", err)
	}
	// Checked here, where there is one to tell, and not by each host.
	if key, err := hex.DecodeString(strings.TrimSpace(string(content))); err != nil || len(key) != meshKeyBytes {
		return fmt.Errorf("%s does not hold a mesh key, which is %d hexadecimal digits: remove it, and a new one is made",
			p.meshKeyFile(), 2*meshKeyBytes)
	}
	if err := os.Chmod(p.meshKeyFile(), 0o600); err != nil {
		return fmt.Errorf("keep mesh key from others: %w", err)
	}
	return nil
}

func (p Paths) writeMeshKey() error {
	key := make([]byte, meshKeyBytes)
	_, _ = rand.Read(key) // never fails
	temporary := p.meshKeyFile() + ".new"
	// One that a launcher left which was killed would keep its mode, whoever may have given it another.
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write mesh key: %w", err)
	}
	if err := os.WriteFile(temporary, []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		return fmt.Errorf("write mesh key: %w", err)
	}
	if err := os.Rename(temporary, p.meshKeyFile()); err != nil {
		return fmt.Errorf("write mesh key: %w", err)
	}
	return nil
}
