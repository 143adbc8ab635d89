package statefile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func TestWriteThenRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.pb")
	for sequence := range uint64(3) {
		if err := Write(path, &syncv1.Version{Term: 7, Sequence: sequence}); err != nil {
			t.Fatal(err)
		}
		var got syncv1.Version
		if err := Read(path, &got); err != nil || !proto.Equal(&got, &syncv1.Version{Term: 7, Sequence: sequence}) {
			t.Fatalf("read %v, %v", &got, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("file %v, %v; want mode 0600", info, err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Fatalf("%d files, want no temporary ones left", len(entries))
	}
}

func TestReadTellsAbsentFromDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.pb")
	var got syncv1.Version
	if err := Read(path, &got); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("no file: %v", err)
	}
	if err := Write(path, &syncv1.Version{Term: 1, Sequence: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Read(path, &got); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%d of %d bytes: %v, want damaged", n, len(whole), err)
		}
	}
}

func TestReplaceSetsTheMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blob")
	if err := Replace(path, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o644 || info.Size() != 7 {
		t.Fatalf("file %v, %v", info, err)
	}
	if err := Replace(filepath.Join(path, "below-a-file"), nil, 0o644); err == nil {
		t.Fatal("wrote below a file")
	}
}

// What a crash has left of a file that was being written is gone after the next time, whatever it was.
func TestReplaceAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path+writing, []byte("half of a much longer secret"), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Fatalf("files %v, error %v", entries, err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "new" {
		t.Errorf("content %q, error %v", content, err)
	}
}
