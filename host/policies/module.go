package policies

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/wasmesh/wasmesh/host/statefile"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Files in the directory of policies: the plan, and modules by their digest.
const (
	planFile     = "plan.pb"
	moduleSuffix = ".wasm"
	digestBytes  = sha256.Size
	// maxModuleBytes bounds what is fetched; the engine refuses as much by default.
	maxModuleBytes = 16 << 20
)

// wrongModule is a module that is not what the plan says.
type wrongModule struct{ text string }

func (w *wrongModule) Error() string { return w.text }

// module answers the bytes of a generation's module, from disk if they are there, else from the controller.
func (s *Set) module(ctx context.Context, meta *syncv1.Generation) ([]byte, error) {
	if meta.GetModuleBytes() > maxModuleBytes {
		return nil, &wrongModule{fmt.Sprintf("the module has %d bytes; at most %d are allowed", meta.GetModuleBytes(), maxModuleBytes)}
	}
	path := filepath.Join(s.dir, moduleName(meta))
	if content, err := os.ReadFile(path); err == nil && matches(content, meta) == nil {
		return content, nil
	}
	if s.config.Blobs == nil {
		return nil, errors.New("the module is not on disk, and there is no controller")
	}
	content, err := s.fetch(ctx, meta)
	if err != nil {
		return nil, err
	}
	if err := statefile.Replace(path, content, 0o644); err != nil {
		// It still holds in memory; only a restart without a controller would miss it.
		s.config.Logger.Error("policy module not kept on disk", "policy", meta.GetPolicy(), "error", err)
	}
	return content, nil
}

// Module answers the bytes of a module that is on disk, by its SHA-256; false when it is not, or is damaged. It is for
// peers that the controller does not reach.
func (s *Set) Module(digest []byte) ([]byte, bool) {
	if len(digest) != digestBytes {
		return nil, false
	}
	content, err := os.ReadFile(filepath.Join(s.dir, hex.EncodeToString(digest)+moduleSuffix))
	if err != nil {
		return nil, false
	}
	sum := sha256.Sum256(content)
	return content, string(sum[:]) == string(digest)
}

// fetch reads a module from the controller, no more of it than the plan says.
func (s *Set) fetch(ctx context.Context, meta *syncv1.Generation) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	stream, err := s.config.Blobs.GetBlob(ctx, &syncv1.GetBlobRequest{Digest: meta.GetModuleDigest()})
	if err != nil {
		return nil, err
	}
	content := make([]byte, 0, meta.GetModuleBytes())
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return content, matches(content, meta)
		}
		if err != nil {
			return nil, err
		}
		content = append(content, message.GetChunk()...)
		if uint64(len(content)) > meta.GetModuleBytes() {
			return nil, matches(content, meta)
		}
	}
}

// matches answers a *wrongModule if bytes are not the module that the plan describes.
func matches(content []byte, meta *syncv1.Generation) error {
	if uint64(len(content)) != meta.GetModuleBytes() {
		return &wrongModule{fmt.Sprintf("the module has %d bytes or more, and should have %d", len(content), meta.GetModuleBytes())}
	}
	if digest := sha256.Sum256(content); string(digest[:]) != string(meta.GetModuleDigest()) {
		return &wrongModule{fmt.Sprintf("the module has SHA-256 %x, and should have %x", digest, meta.GetModuleDigest())}
	}
	return nil
}

func moduleName(meta *syncv1.Generation) string {
	return hex.EncodeToString(meta.GetModuleDigest()) + moduleSuffix
}

// loadPlan reads the plan on disk; nil when there is none.
func (s *Set) loadPlan() (*syncv1.PolicyPlan, error) {
	plan := &syncv1.PolicyPlan{}
	if err := statefile.Read(filepath.Join(s.dir, planFile), plan); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return nil, err
	}
	return plan, nil
}

// keepPlan writes a plan, whose configurations may be secret, and removes modules that it does not name.
func (s *Set) keepPlan(plan *syncv1.PolicyPlan) {
	if err := statefile.Write(filepath.Join(s.dir, planFile), plan); err != nil {
		s.config.Logger.Error("policies not kept on disk", "error", err)
		return
	}
	named := make(map[string]bool)
	for _, entry := range plan.GetEntries() {
		named[moduleName(entry.GetGeneration())] = true
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.config.Logger.Error("old policy modules not removed", "error", err)
		return
	}
	for _, entry := range entries {
		if strings.Contains(entry.Name(), moduleSuffix) && !named[entry.Name()] {
			if err := os.Remove(filepath.Join(s.dir, entry.Name())); err != nil {
				s.config.Logger.Warn("old policy module not removed", "error", err)
			}
		}
	}
}
