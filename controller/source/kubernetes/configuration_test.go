package kubernetes

import (
	"log/slog"
	"testing"

	"github.com/wasmesh/wasmesh/controller/config"
)

// What can be followed is to be kept for the next start, and what cannot must not take its place.
func TestConfigText(t *testing.T) {
	s := &Source{changed: make(chan struct{}, 1), options: Options{Config: config.Default(), Logger: slog.New(slog.DiscardHandler)}}
	s.configuration = configuration{config: s.options.Config, text: "from the start"}
	for i, step := range []struct {
		yaml, text string
		pods       int32
	}{
		{"podsPerRuntime: many", "from the start", 2}, {"podsPerRuntime: 3", "podsPerRuntime: 3", 3},
		{"podsPerRuntime: many", "podsPerRuntime: 3", 3}, {"", "", 2},
	} {
		s.configure([]byte(step.yaml))
		if text, pods := s.ConfigText(), s.Config().PodsPerRuntime; text != step.text || pods != step.pods {
			t.Errorf("step %d: %d pods of %q; want %d of %q", i, pods, text, step.pods, step.text)
		}
	}
}
