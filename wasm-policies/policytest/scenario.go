package policytest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Scenario is one small world and what a policy should answer in it.
type Scenario struct {
	// Name says what the scenario shows, in a sentence.
	Name string
	Hook policyabi.Hook
	// Config is what mesh_configure is given.
	Config string
	// Request in the form of the ABI; its rows are in the order of the file.
	Request Request
	// Rows names the rows, in order.
	Rows []string
	Want Want
	// File is where it was read, for messages.
	File string
}

// Request is a *policyabi.PlaceRequest, *policyabi.EvictRequest or *policyabi.StatusRequest.
type Request interface {
	Size() int
	Encode(buf []byte)
}

// Want is what a policy should answer.
type Want struct {
	// Abstain: it leaves the decision to the built-in policy.
	Abstain bool `json:"abstain,omitempty"`
	// Order of rows by name: for place the hosts wanted, best first, and no others; for evict every copy, the first to go
	// first.
	Order []string `json:"order,omitempty"`
	// First of that order, when the rest does not matter.
	First string `json:"first,omitempty"`
	// Status has the fields of StatusAnswer that matter, by their names in the ABI.
	Status map[string]any `json:"status,omitempty"`
}

// defaultNow is the time in scenarios that do not say it.
const defaultNow = "2026-01-01T00:00:00Z"

// maxScenarioBytes bounds a file of scenarios.
const maxScenarioBytes = 4 << 20

// ReadDir reads the scenarios of every *.yaml and *.yml in a directory, in the order of their names. A directory that
// does not exist has none.
func ReadDir(dir string) ([]Scenario, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read scenarios: %w", err)
	}
	var all []Scenario
	for _, entry := range entries {
		if extension := filepath.Ext(entry.Name()); extension != ".yaml" && extension != ".yml" {
			continue
		}
		scenarios, err := readFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, scenarios...)
	}
	return all, nil
}

func readFile(path string) ([]Scenario, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read scenarios: %w", err)
	}
	defer func() { _ = file.Close() }() // Only read.
	content, err := io.ReadAll(io.LimitReader(file, maxScenarioBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read scenarios: %w", err)
	}
	if len(content) > maxScenarioBytes {
		return nil, fmt.Errorf("read scenarios: %s is larger than %d bytes", path, maxScenarioBytes)
	}
	return Parse(path, content)
}

// Parse reads scenarios from YAML documents separated by lines of "---". file is for messages.
func Parse(file string, content []byte) ([]Scenario, error) {
	var all []Scenario
	n := 0
	for _, part := range bytes.Split(append([]byte("\n"), content...), []byte("\n---")) {
		var nothing any
		if err := yaml.Unmarshal(part, &nothing); err == nil && nothing == nil {
			continue // Comments at most.
		}
		n++
		d, err := decode(part)
		if err == nil && strings.TrimSpace(d.Name) == "" {
			err = errors.New("it has no name: say in a sentence what the scenario shows")
		}
		if err != nil {
			return nil, fmt.Errorf("%s, scenario %d: %w", file, n, err)
		}
		s, err := d.scenario()
		if err != nil {
			return nil, fmt.Errorf("%s, scenario %q: %w", file, d.Name, err)
		}
		s.File = file
		all = append(all, s)
	}
	return all, nil
}

func (d document) scenario() (Scenario, error) {
	s := Scenario{Name: d.Name, Config: d.Config, Want: d.Want}
	if d.Now == "" {
		d.Now = defaultNow
	}
	now, err := time.Parse(time.RFC3339, d.Now)
	if err != nil {
		return s, fmt.Errorf("now: %w", err)
	}
	f := filler{now: now}
	header := policyabi.Header{DecisionID: 1, NowMs: now.UnixMilli(), Seed: d.Seed}
	switch d.Hook {
	case policyabi.HookPlace.String():
		request := &policyabi.PlaceRequest{Header: header, Rows: make([]policyabi.PlaceRow, len(d.Rows))}
		s.Hook, s.Request = policyabi.HookPlace, request
		err = fill(f, d, &request.Context, request.Rows)
	case policyabi.HookEvict.String():
		request := &policyabi.EvictRequest{Header: header, Rows: make([]policyabi.EvictRow, len(d.Rows))}
		s.Hook, s.Request = policyabi.HookEvict, request
		err = fill(f, d, &request.Context, request.Rows)
	case policyabi.HookStatus.String():
		request := &policyabi.StatusRequest{Header: header, Rows: make([]policyabi.StatusRow, len(d.Rows))}
		s.Hook, s.Request = policyabi.HookStatus, request
		err = fill(f, d, &request.Context, request.Rows)
	default:
		return s, fmt.Errorf("hook: %q is none of place, evict, status", d.Hook)
	}
	if err != nil {
		return s, err
	}
	for i, row := range d.Rows {
		name, _ := row["name"].(string)
		if name == "" {
			name = fmt.Sprintf("row %d", i)
		}
		s.Rows = append(s.Rows, name)
	}
	return s, s.check()
}

// check finds scenarios that say nothing, and wants that no answer can meet.
func (s Scenario) check() error {
	for i, name := range s.Rows {
		if slices.Contains(s.Rows[:i], name) {
			return fmt.Errorf("rows: two are named %q", name)
		}
	}
	w := s.Want
	for i, name := range slices.Concat(w.Order, []string{w.First}) {
		if name != "" && !slices.Contains(s.Rows, name) {
			return fmt.Errorf("want: no row is named %q", name)
		}
		if i < len(w.Order) && slices.Contains(w.Order[:i], name) {
			return fmt.Errorf("want.order: %q is there twice", name)
		}
	}
	ranks, status := w.First != "" || w.Order != nil, w.Status != nil
	switch {
	case w.Abstain == (ranks || status):
		return errors.New("want: say either abstain: true, or what it should answer: order, first or status")
	case ranks && s.Hook == policyabi.HookStatus:
		return errors.New("want: a status has no order: say status, with the fields that matter")
	case status && s.Hook != policyabi.HookStatus:
		return errors.New("want.status: only the hook status answers that")
	case w.Order != nil && len(w.Order) == 0:
		return errors.New("want.order: not to name any row is to abstain: say abstain: true")
	case w.Order != nil && s.Hook == policyabi.HookEvict && len(w.Order) != len(s.Rows):
		return fmt.Errorf("want.order: evict answers every row, and %d of %d are named; say first, if the rest does not matter", len(w.Order), len(s.Rows))
	}
	return filler{}.fields("want.status", w.Status, new(policyabi.StatusAnswer))
}
