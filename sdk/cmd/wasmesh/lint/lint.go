// Package lint says what will differ when this project's controller takes over the objects that were written for ModelMesh:
// what cannot work, what has no effect, and what means something else. It reads manifests only; the command line calls it.
//
// Its rules are not its own where the controller has them: specs are resolved, runtimes validated and settings parsed by
// the controller's packages, so that what is said here is what will be seen there. Values of Secrets are never repeated.
package lint

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/resolve"
)

// Level says how much a finding weighs.
type Level string

// Levels.
const (
	// Error: it will not work.
	Error Level = "error"
	// Warning: it works, and not in every way as its owner may expect.
	Warning Level = "warning"
)

// Finding is one thing to know about one object.
type Finding struct {
	// File as it was named; Line counts from 1.
	File string `json:"file"`
	Line int    `json:"line"`
	// Kind and Name are empty for what is no object. Name has its namespace before it, if the manifest says one.
	Kind    string `json:"kind,omitempty"`
	Name    string `json:"name,omitempty"`
	Level   Level  `json:"level"`
	Message string `json:"message"`
}

// String has the form of a compiler's message, which editors and terminals turn into a link.
func (f Finding) String() string {
	object := ""
	if f.Kind != "" {
		object = f.Kind + "/" + f.Name + ": "
	}
	return fmt.Sprintf("%s:%d: %s%s: %s", f.File, f.Line, object, f.Level, f.Message)
}

// Report is what was found.
type Report struct {
	Findings []Finding
	// Objects is how many were looked at; manifests of other kinds do not count.
	Objects int
}

// Count answers how many findings are of a level.
func (r Report) Count(level Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// File is one that was read.
type File struct {
	// Name for messages.
	Name    string
	Content []byte
}

// Check looks at all files together: a model is held against the runtimes and the storage Secrets beside it.
func Check(files []File) Report {
	l := &linter{settings: config.Default()}
	for _, f := range files {
		l.read(f)
	}
	l.check()
	slices.SortStableFunc(l.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return Report{Findings: l.findings, Objects: len(l.objects)}
}

// linter is one run.
type linter struct {
	objects  []*object
	findings []Finding

	// settings of the mesh: those of a ConfigMap that was read, or the defaults.
	settings config.Config
	// runtimes that were read and are not broken; storage by namespace, then key, of all Secrets of that name: which of
	// several there is in the end is not known here.
	runtimes []resolve.Runtime
	storage  map[string]map[string][]byte
}

// check goes in the order of what needs what.
func (l *linter) check() {
	each := func(check func(*object), kinds ...string) {
		for _, o := range l.objects {
			if slices.Contains(kinds, o.kind) {
				check(o)
			}
		}
	}
	l.duplicates()
	each(l.configMap, kindConfigMap)
	each(l.secret, kindSecret)
	each(l.runtime, kindRuntime, kindClusterRuntime)
	each(l.service, kindService)
	each(l.predictor, kindPredictor)
}

// duplicates tells of objects of which there are several: whoever applies them all has the last of them only.
func (l *linter) duplicates() {
	type identity struct{ apiVersion, kind, namespace, name string }
	first := map[identity]*object{}
	for _, o := range l.objects {
		is := identity{o.apiVersion, o.kind, o.namespace, o.name}
		if o.kind == kindClusterRuntime {
			is.namespace = ""
		}
		other, there := first[is]
		if !there {
			first[is] = o
			continue
		}
		l.found(o, Warning, nil, "it is also at %s:%d: `kubectl apply` of both leaves what it read last", other.file, other.lineOf())
	}
}

// found adds a finding about the field of an object, or about the object.
func (l *linter) found(o *object, level Level, path []string, format string, args ...any) {
	l.findings = append(l.findings, Finding{
		File: o.file, Line: o.lineOf(path...), Kind: o.kind, Name: o.fullName(), Level: level, Message: fmt.Sprintf(format, args...),
	})
}
