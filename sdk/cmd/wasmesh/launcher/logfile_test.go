package launcher

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogKeepsItsBound(t *testing.T) {
	const limit = 1000
	path := filepath.Join(t.TempDir(), "x.log")
	log, err := openLog(path, limit)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		fmt.Fprintf(log, "line %d\n", i)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	now, before := read(t, path), read(t, path+".1")
	if len(now) > limit || len(before) > limit {
		t.Errorf("%d and %d bytes are kept, want at most %d each", len(now), len(before), limit)
	}
	if !strings.HasSuffix(before+now, "line 498\nline 499\n") || !strings.HasPrefix(before, "line ") {
		t.Errorf("the newest lines are not whole:\n%s--\n%s", before, now)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("files: %v", entries)
	}
}

func TestLogGoesOnAcrossStarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	for _, line := range []string{"first\n", "second\n"} {
		log, err := openLog(path, 1000)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(log, line)
		log.Close()
	}
	if got := read(t, path); got != "first\nsecond\n" {
		t.Errorf("log holds %q", got)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestLastLine(t *testing.T) {
	long := strings.Repeat("x", 3*maxTailBytes)
	for _, test := range []struct {
		name   string
		writes []string
		want   string
	}{
		{"nothing", nil, "(nothing)"},
		{"blank lines after it", []string{"one\n", "two\n\n \n"}, "two"},
		{"without an end", []string{"one\ntw", "o"}, "two"},
		{"long", []string{long + "\n"}, long[:maxTailBytes-1]},
		{"after something long", []string{long, "\nend\n"}, "end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			log, err := openLog(filepath.Join(t.TempDir(), "x.log"), maxLogBytes)
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			for _, w := range test.writes {
				fmt.Fprint(log, w)
			}
			if got := log.lastLine(); got != test.want {
				t.Errorf("last line %q, want %q", got, test.want)
			}
		})
	}
}
