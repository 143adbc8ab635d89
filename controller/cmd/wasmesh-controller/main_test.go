package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunRefuses(t *testing.T) {
	folder := t.TempDir()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no source":      {nil, `required flag(s) "source" not set`},
		"missing source": {[]string{"--source", filepath.Join(folder, "absent"), "--data-dir", folder}, "no such file"},
		"log format":     {[]string{"--source", folder, "--log-format", "xml"}, "neither text nor json"},
		"log level":      {[]string{"--source", folder, "--log-level", "loud"}, "flag --log-level"},
		"argument":       {[]string{"--source", folder, "extra"}, "extra"},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), test.args, strings.NewReader(""), io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// The controller stops, in order, when its standard input ends and when its context does.
func TestRunStops(t *testing.T) {
	for _, way := range []string{"end of input", "signal"} {
		t.Run(way, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "d")
			input, end := io.Pipe()
			ctx, signal := context.WithCancel(t.Context())
			log := &upLog{up: make(chan struct{})}
			done := make(chan error, 1)
			go func() {
				done <- run(ctx, []string{"--source", t.TempDir(), "--data-dir", data, "--exit-on-stdin-eof", "--log-format", "json"}, input, log)
			}()
			select {
			case <-log.up:
			case err := <-done:
				t.Fatalf("run: %v", err)
			}
			if _, err := os.Stat(filepath.Join(data, "run", "admin.sock")); err != nil {
				t.Error(err)
			}
			if way == "signal" {
				signal()
			} else if err := end.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Errorf("run: %v", err)
			}
			signal()
			_ = end.Close()
			if left, _ := os.ReadDir(filepath.Join(data, "run")); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			if t.Failed() {
				t.Logf("log:\n%s", log.text.String())
			}
		})
	}
}

// upLog closes up when the controller says that it is up.
type upLog struct {
	up   chan struct{}
	text strings.Builder
}

func (l *upLog) Write(p []byte) (int, error) {
	if strings.Contains(string(p), `"msg":"controller is up"`) {
		close(l.up)
	}
	return l.text.Write(p)
}
