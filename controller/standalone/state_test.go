package standalone

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// openState opens a directory; the log is what an operator would read.
func openState(t *testing.T, path string) (*State, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	s, err := OpenState(path, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s, &log
}

func closeState(t *testing.T, s *State) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func isvcKey(name string) decide.Key {
	return decide.Key{Namespace: "default", Kind: v1beta1.Kind, Name: name}
}

func TestStateSurvivesRestart(t *testing.T) {
	path := t.TempDir()
	long := strings.Repeat("long.", 50) + "x"
	active := map[decide.Key]*syncv1.Model{
		isvcKey("a.b"): {Id: "a1", Alias: "a.b", Storage: &syncv1.StorageReference{Parameters: map[string]string{"k": "v"}}},
		isvcKey(long):  {Id: "l1", Alias: long},
		{Namespace: "n", Kind: v1alpha1.KindPredictor, Name: "p"}: {Id: "p1", Alias: "p"},
	}
	refused := map[decide.Key]string{isvcKey("a.b"): "a2"}
	statuses := reconcile.Statuses{
		InferenceServices: map[decide.Key]v1beta1.InferenceServiceStatus{isvcKey("a.b"): {
			Conditions: []v1beta1.Condition{{Type: "Ready", Status: "True", LastTransitionTime: metav1.Unix(1700000000, 0)}},
		}},
		Predictors: map[decide.Key]v1alpha1.PredictorStatus{{Namespace: "n", Kind: v1alpha1.KindPredictor, Name: "p"}: {Available: true}},
	}
	hosts := []syncserver.HostKey{{Namespace: "default", ID: "r-0"}}

	first, _ := openState(t, path)
	termBefore, err := first.NextTerm()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		first.SaveDecision(active, refused, nil), first.SaveStatuses(statuses), first.SaveHosts(hosts), first.SaveObjects([]byte("memory")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	closeState(t, first)

	second, log := openState(t, path)
	defer closeState(t, second)
	got := second.Restored()
	if len(got.Active) != len(active) {
		t.Errorf("active %v, want %v", got.Active, active)
	}
	for key, model := range active {
		if !proto.Equal(got.Active[key], model) {
			t.Errorf("active of %v: %v, want %v", key, got.Active[key], model)
		}
	}
	if !reflect.DeepEqual(got.Refused, refused) {
		t.Errorf("refused %v, want %v", got.Refused, refused)
	}
	if !reflect.DeepEqual(got.Statuses, statuses) {
		t.Errorf("statuses %v, want %v", got.Statuses, statuses)
	}
	if !reflect.DeepEqual(second.Hosts(), hosts) || string(second.Objects()) != "memory" {
		t.Errorf("hosts %v, objects %q", second.Hosts(), second.Objects())
	}
	if term, err := second.NextTerm(); err != nil || term != termBefore+1 {
		t.Errorf("term %d after %d, error %v", term, termBefore, err)
	}
	if log.Len() > 0 {
		t.Errorf("log: %s", log)
	}
}

func TestSaveDecisionForgets(t *testing.T) {
	path := t.TempDir()
	s, _ := openState(t, path)
	model := &syncv1.Model{Id: "a1"}
	if err := s.SaveDecision(map[decide.Key]*syncv1.Model{isvcKey("a"): model, isvcKey("b"): model}, nil, nil); err != nil {
		t.Fatal(err)
	}
	changed := &syncv1.Model{Id: "b2"}
	if err := s.SaveDecision(map[decide.Key]*syncv1.Model{isvcKey("b"): changed}, nil, nil); err != nil {
		t.Fatal(err)
	}
	closeState(t, s)
	again, _ := openState(t, path)
	defer closeState(t, again)
	if got := again.Restored().Active; len(got) != 1 || got[isvcKey("b")].GetId() != "b2" {
		t.Errorf("active %v, want only b2 of b", got)
	}
}

// A file that a broken disk or a careless hand has damaged costs what was in it, nothing else.
func TestDamagedStateCountsAsAbsent(t *testing.T) {
	path := t.TempDir()
	s, _ := openState(t, path)
	term, err := s.NextTerm()
	if err != nil {
		t.Fatal(err)
	}
	model := &syncv1.Model{Id: "m"}
	if err := s.SaveDecision(map[decide.Key]*syncv1.Model{isvcKey("a"): model, isvcKey("b"): model, isvcKey("c"): model},
		map[decide.Key]string{isvcKey("a"): "x"}, nil); err != nil {
		t.Fatal(err)
	}
	closeState(t, s)
	damaged := []string{termFile, refusedFile, statusFile, hostsFile,
		"active/default.InferenceService.a.json", "active/default.InferenceService.b.json"}
	for i, name := range damaged {
		if err := os.WriteFile(filepath.Join(path, name), []byte(`{"id`)[:i%2*4], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(path, "active", temporaryPrefix+"1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}

	again, log := openState(t, path)
	defer closeState(t, again)
	restored := again.Restored()
	if len(restored.Active) != 1 || restored.Active[isvcKey("c")].GetId() != "m" || len(restored.Refused) != 0 {
		t.Errorf("restored %+v, want only what is whole", restored)
	}
	if hosts := again.Hosts(); len(hosts) != 0 {
		t.Errorf("hosts %v", hosts)
	}
	if next, err := again.NextTerm(); err != nil || next <= term {
		t.Errorf("term %d after %d, error %v: a version must never come twice", next, term, err)
	}
	for _, name := range damaged {
		if !strings.Contains(log.String(), filepath.Join(path, name)) {
			t.Errorf("no word about %s in the log:\n%s", name, log)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(path, "active", temporaryPrefix+"*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestTermWithoutCountIsNotSmall(t *testing.T) {
	s, _ := openState(t, t.TempDir())
	defer closeState(t, s)
	if term, err := s.NextTerm(); err != nil || term < uint64(time.Now().Add(-time.Hour).UnixMilli()) {
		t.Errorf("first term %d, error %v", term, err)
	}
}

func TestOneControllerForEachDirectory(t *testing.T) {
	path := t.TempDir()
	s, _ := openState(t, path)
	if _, err := OpenState(path, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another controller") {
		t.Errorf("a second controller: error %v", err)
	}
	closeState(t, s)
	again, _ := openState(t, path)
	closeState(t, again)
}

// When the disk refuses, the error is said and what was saved before remains.
func TestFailedSaveKeepsOld(t *testing.T) {
	path := t.TempDir()
	s, _ := openState(t, path)
	old := map[decide.Key]*syncv1.Model{isvcKey("a"): {Id: "a1"}}
	if err := s.SaveDecision(old, nil, nil); err != nil {
		t.Fatal(err)
	}
	// A directory in the place of the file: renaming over it fails, whoever runs the test.
	if err := os.Mkdir(filepath.Join(path, "active", "default.InferenceService.b.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := s.SaveDecision(map[decide.Key]*syncv1.Model{isvcKey("a"): {Id: "a1"}, isvcKey("b"): {Id: "b1"}}, nil, nil)
	if err == nil {
		t.Fatal("no error")
	}
	closeState(t, s)
	again, _ := openState(t, path)
	defer closeState(t, again)
	if got := again.Restored().Active[isvcKey("a")].GetId(); got != "a1" {
		t.Errorf("active of a: %q, want a1", got)
	}
}
