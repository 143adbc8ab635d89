package storage

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Artifact is a model on the local disk. It stays until Remove.
type Artifact struct {
	// Path is absolute: a file, or a directory.
	Path string
	// SchemaPath is the absolute path of the schema, empty when the model has none.
	SchemaPath string
	// Bytes is the size of the model's files, links followed, without the schema.
	Bytes int64
}

// Store materialises models. All methods are safe for concurrent use.
type Store struct {
	cfg       Config
	log       *slog.Logger
	openers   map[string]opener
	s3Clients *lru.Cache[s3Settings, *s3Client]
	// connections is a semaphore over ranges being downloaded.
	connections chan struct{}
	disk        *disk
	tree        *tree
	lock        *os.File
	scratch     atomic.Uint64
	locks       keyedLocks

	// calls are the running Pull, Size and Remove, for Close to wait for.
	calls sync.WaitGroup

	mu     sync.Mutex
	closed bool
	// entries is the storage Secret: replaced whole, never changed.
	entries map[string][]byte
	models  map[string]*model
}

// model is what is materialised for one id.
type model struct {
	artifact Artifact
	// contents tells whether another pull would make the same directory.
	contents string
	entries  []*entry
}

var errClosed = errorf(Unavailable, "this host is shutting down its storage")

// Open takes over cfg.ModelsDir: what a process that died left half-done, and the models that it had materialised, are
// removed; whole cached objects are kept.
func Open(cfg Config) (*Store, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	cache := filepath.Join(cfg.ModelsDir, cacheName)
	if err := os.MkdirAll(cfg.ModelsDir, 0o755); err != nil {
		return nil, diskError(err)
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, diskError(err)
	}
	lock, err := lockCache(cache)
	if err != nil {
		return nil, diskError(err)
	}
	s, err := open(cfg, cache)
	if err != nil {
		lock.Close()
		return nil, diskError(err)
	}
	s.lock = lock
	return s, nil
}

func open(cfg Config, cache string) (*Store, error) {
	if err := recoverModels(cfg.ModelsDir, cache); err != nil {
		return nil, err
	}
	d, err := openDisk(cache, cfg.DiskBudgetBytes)
	if err != nil {
		return nil, err
	}
	clients, err := lru.NewWithEvict(maxS3Clients, func(_ s3Settings, c *s3Client) { c.transport.CloseIdleConnections() })
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, log: cfg.Logger, s3Clients: clients, disk: d,
		connections: make(chan struct{}, cfg.PullConcurrency),
		tree: &tree{
			modelsDir: cfg.ModelsDir, disk: d,
			staging: filepath.Join(cache, stagingName), records: filepath.Join(cache, modelsName),
			mark: filepath.Join(cache, markName), spares: filepath.Join(cache, spareName), spare: make(chan string, 1),
		},
		models: map[string]*model{},
	}
	s.openers = map[string]opener{"s3": s.openS3, "pvc": s.openPVC, "file": s.openFile}
	return s, nil
}

// SetCredentials replaces the storage Secret: key to JSON object. A malformed entry is reported by the models that name
// it and disturbs no other. The caller does not change the bytes afterwards.
func (s *Store) SetCredentials(entries map[string][]byte) {
	s.mu.Lock()
	same := maps.EqualFunc(s.entries, entries, bytes.Equal)
	if !same {
		s.entries = maps.Clone(entries)
	}
	s.mu.Unlock()
	if !same {
		s.s3Clients.Purge()
	}
}

// Close cancels what runs, waits for it, and gives the directory back. Materialised models stay for a runtime that
// still reads them; the next Open removes them.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.disk.close(errClosed)
	s.calls.Wait()
	s.s3Clients.Purge()
	return s.lock.Close()
}

// begin registers a call; its context ends when the Store closes. The caller runs end.
func (s *Store) begin(ctx context.Context) (_ context.Context, end func(), _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, errClosed
	}
	s.calls.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.disk.running, func() { cancel(errClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		s.calls.Done()
	}, nil
}

// Stats answers the figures of the disk cache.
func (s *Store) Stats() Stats { return s.disk.stats() }
