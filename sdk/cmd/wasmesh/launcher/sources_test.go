package launcher

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Where an object can be put is the first directory of the mesh that runs, wherever whoever asks is.
func TestSource(t *testing.T) {
	work := t.TempDir()
	t.Chdir(work)
	for _, name := range []string{"first", "second"} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("file.yaml", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sources []string
		// want is a directory below work, or what the error says.
		want, says string
	}{
		{sources: []string{"file.yaml", "first", "second"}, want: "first"},
		{sources: []string{filepath.Join(work, "second"), "first"}, want: "second"},
		{sources: []string{"gone", "second"}, want: "second"},
		{sources: []string{"file.yaml"}, says: "started with files only"},
	} {
		paths, err := makePaths(filepath.Join(t.TempDir(), "d"))
		if err != nil {
			t.Fatal(err)
		}
		lock, err := paths.lock()
		if err != nil {
			t.Fatal(err)
		}
		// A run before noted more.
		if err := noteSources(lock, append([]string{"first", "second"}, c.sources...)); err != nil {
			t.Fatal(err)
		}
		if err := noteSources(lock, c.sources); err != nil {
			t.Fatal(err)
		}
		source, err := paths.Source()
		switch {
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%v: error %v does not say %q", c.sources, err, c.says)
		case c.says == "" && (err != nil || source != filepath.Join(work, c.want)):
			t.Errorf("%v: %s, error %v", c.sources, source, err)
		}
		lock.Close()
		if _, err := paths.Source(); err == nil || !strings.Contains(err.Error(), "no mesh runs in "+paths.Root) {
			t.Errorf("after the mesh has ended: error %v", err)
		}
	}
}
