package standalone

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Files below the state directory.
const (
	lockFile     = "lock"
	termFile     = "term"
	activeFolder = "active"
	// policiesFolder has the record of policies and the modules that it names.
	policiesFolder = "policies"
	refusedFile    = "refused.json"
	statusFile     = "status.json"
	hostsFile      = "hosts.json"
	objectsFile    = "objects.json"
)

// State is what the standalone controller keeps where a cluster keeps Kubernetes objects: files below one directory,
// which one controller at a time owns. It implements reconcile.Store and policies.Store.
//
// Invariants: a file is either the old or the new one, whatever crashes; a file that cannot be read counts as absent and
// is reported, it never keeps the controller from starting.
type State struct {
	path   string
	logger *slog.Logger
	lock   *os.File
	// active and refused are what the files say, so that only differences are written.
	active  map[decide.Key]*syncv1.Model
	refused map[decide.Key]string
}

// OpenState takes the directory over, making it if need be; Close gives it back.
func OpenState(path string, logger *slog.Logger) (*State, error) {
	for _, folder := range []string{activeFolder, policiesFolder} {
		if err := os.MkdirAll(filepath.Join(path, folder), 0o700); err != nil {
			return nil, fmt.Errorf("open state: %w", err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("open state: another controller works on %s: stop it, or choose another data directory", path)
	}
	s := &State{path: path, logger: logger, lock: lock}
	s.removeLeftovers()
	s.loadActive()
	s.loadRefused()
	return s, nil
}

// Close lets another controller take the directory over.
func (s *State) Close() error { return s.lock.Close() }

// removeLeftovers of writes that a crash cut short.
func (s *State) removeLeftovers() {
	for _, folder := range []string{s.path, filepath.Join(s.path, activeFolder), filepath.Join(s.path, policiesFolder)} {
		leftovers, _ := filepath.Glob(filepath.Join(folder, temporaryPrefix+"*"))
		for _, leftover := range leftovers {
			_ = os.Remove(leftover)
		}
	}
}

// NextTerm counts this start. Without a readable count it begins with the time in milliseconds: a count that began
// again could give hosts a version that they already hold, with other content.
func (s *State) NextTerm() (uint64, error) {
	var term uint64
	if !s.load(termFile, &term) {
		term = uint64(time.Now().UnixMilli())
	}
	term++
	if err := s.save(termFile, term); err != nil {
		return 0, fmt.Errorf("count the start of the controller: %w", err)
	}
	return term, nil
}

// Restored answers what the loop needs from before the restart.
func (s *State) Restored() reconcile.Restored {
	var list []statusEntry
	s.load(statusFile, &list)
	return reconcile.Restored{Active: s.active, Refused: s.refused, Statuses: statusesOf(list)}
}

// Hosts that were known when SaveHosts was last called.
func (s *State) Hosts() (hosts []syncserver.HostKey) {
	s.load(hostsFile, &hosts)
	return hosts
}

// SaveHosts implements reconcile.Store.
func (s *State) SaveHosts(hosts []syncserver.HostKey) error { return s.save(hostsFile, hosts) }

// Objects answers what SaveObjects last kept.
func (s *State) Objects() []byte {
	data, err := os.ReadFile(filepath.Join(s.path, objectsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.report(objectsFile, err)
	}
	return data
}

// SaveObjects keeps the memory of the directory source.
func (s *State) SaveObjects(data []byte) error {
	return replaceFile(filepath.Join(s.path, objectsFile), data)
}

// statusEntry is the status of one object in the status file; one of the two is set.
type statusEntry struct {
	decide.Key
	InferenceService *v1beta1.InferenceServiceStatus `json:"inferenceService,omitempty"`
	Predictor        *v1alpha1.PredictorStatus       `json:"predictor,omitempty"`
}

// SaveStatuses implements reconcile.Store.
func (s *State) SaveStatuses(statuses reconcile.Statuses) error {
	list := make([]statusEntry, 0, len(statuses.InferenceServices)+len(statuses.Predictors))
	for key, status := range statuses.InferenceServices {
		list = append(list, statusEntry{Key: key, InferenceService: &status})
	}
	for key, status := range statuses.Predictors {
		list = append(list, statusEntry{Key: key, Predictor: &status})
	}
	return s.save(statusFile, list)
}

func statusesOf(list []statusEntry) reconcile.Statuses {
	statuses := reconcile.Statuses{
		InferenceServices: map[decide.Key]v1beta1.InferenceServiceStatus{},
		Predictors:        map[decide.Key]v1alpha1.PredictorStatus{},
	}
	for _, entry := range list {
		switch {
		case entry.InferenceService != nil:
			statuses.InferenceServices[entry.Key] = *entry.InferenceService
		case entry.Predictor != nil:
			statuses.Predictors[entry.Key] = *entry.Predictor
		}
	}
	return statuses
}

// load reads a JSON file; false when it is absent or cannot be read.
func (s *State) load(name string, into any) bool {
	data, err := os.ReadFile(filepath.Join(s.path, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		s.report(name, err)
		return false
	}
	return true
}

func (s *State) report(name string, err error) {
	s.logger.Warn("a file of the controller's state cannot be read and counts as absent",
		"file", filepath.Join(s.path, name), "error", err)
}

func (s *State) save(name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(s.path, name), data)
}
