package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestEpochGrowsWithEveryStart(t *testing.T) {
	dir := t.TempDir()
	now := time.UnixMilli(1_700_000_000_000)
	first, err := nextEpoch(dir, now)
	if err != nil || first != uint64(now.UnixMilli()) {
		t.Fatalf("first epoch %d, %v", first, err)
	}
	// A clock that was set back must not make the host look older.
	second, err := nextEpoch(dir, now.Add(-time.Hour))
	if err != nil || second != first+1 {
		t.Fatalf("second epoch %d, %v; want %d", second, err, first+1)
	}
	if err := os.WriteFile(filepath.Join(dir, "epoch"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	third, err := nextEpoch(dir, now.Add(time.Second))
	if err != nil || third <= second {
		t.Fatalf("epoch after a damaged file %d, %v; want more than %d", third, err, second)
	}
}
