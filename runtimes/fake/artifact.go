package fake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// ArtifactName is the file that is read when a model's path is a directory.
const ArtifactName = "model.json"

// Artifact is the whole of a model file: a JSON object that says how the model behaves. A file that is not such an
// object, or has a field that is not listed here, fails to load.
type Artifact struct {
	// LoadMS is how long loading takes, in milliseconds; absent, Config.LoadDelay.
	LoadMS *int64 `json:"load_ms,omitempty"`
	// Fail makes every load end with INTERNAL and this message, after LoadMS.
	Fail string `json:"fail,omitempty"`
	// CrashOnLoad ends the server after LoadMS.
	CrashOnLoad bool `json:"crash_on_load,omitempty"`
	// SizeBytes is the memory that the model takes; 0 is Config.DefaultModelBytes.
	SizeBytes int64 `json:"size_bytes,omitempty"`
	// ServiceMS is how long a request takes, in milliseconds; absent, Config.ServiceTime.
	ServiceMS *int64 `json:"service_ms,omitempty"`
	// MaxConcurrency is stated for the copy; 0 is no limit. The server does not enforce it.
	MaxConcurrency uint32 `json:"max_concurrency,omitempty"`
	// Padding has no meaning: it makes the file as large as a test wants.
	Padding string `json:"padding,omitempty"`
}

// Milliseconds is for the optional fields of Artifact.
func Milliseconds(n int64) *int64 { return &n }

// WriteFile stores the artifact at path, for a test to load.
func (a Artifact) WriteFile(path string) error {
	raw, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("write fake model: %w", err)
	}
	return os.WriteFile(path, raw, 0o644)
}

// readArtifact reads a model file, or the one in a model directory.
func readArtifact(path string) (Artifact, error) {
	var a Artifact
	info, err := os.Stat(path)
	if err != nil {
		return a, fmt.Errorf("open model: %w", err)
	}
	if info.IsDir() {
		path = filepath.Join(path, ArtifactName)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return a, fmt.Errorf("open model: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&a); err != nil {
		return a, fmt.Errorf("%s is not a model of the fake runtime: %w", filepath.Base(path), err)
	}
	return a, nil
}

func orDefault(ms *int64, otherwise time.Duration) time.Duration {
	if ms == nil {
		return otherwise
	}
	return time.Duration(*ms) * time.Millisecond
}
