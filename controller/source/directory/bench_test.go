package directory

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkOneEditOf10000 is what one edited file costs when ten thousand lie beside it.
func BenchmarkOneEditOf10000(b *testing.B) {
	folder := b.TempDir()
	write := func(i, version int) {
		content := withPath(fmt.Sprintf("m%d", i), fmt.Sprintf("v%d", version))
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("m%d.yaml", i)), []byte(content), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 10_000 {
		write(i, 0)
	}
	s, err := New(Config{
		Paths: []string{folder}, DefaultNamespace: "default", Logger: slog.New(slog.DiscardHandler),
		Save: func([]byte) error { return nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	s.scan(time.Now().Add(2*racyWindow), nil) // No file is read again for being young.
	for version := 1; b.Loop(); version++ {
		write(1, version)
		if !s.scan(time.Now(), nil).changed {
			b.Fatal("the edit was not seen")
		}
		s.publish(time.Now())
	}
}
