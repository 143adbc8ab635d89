// Package source is what the controller's inputs have in common: a Snapshot of everything declared, wherever it was
// declared. The directory source makes it of YAML files; in a cluster it is made of the API server's objects. The loop in
// controller/reconcile only ever sees Snapshots.
//
// Invariant: a Snapshot and everything reachable from it never changes after it has been handed out.
package source

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/controller/decide"
)

// StorageSecretName is the name of the Secret whose keys are storage entries, as ModelMesh has it
// (config key storageSecretName).
const StorageSecretName = "storage-config"

// Snapshot is one consistent look at what is declared.
type Snapshot struct {
	// Objects without status: a source knows only what its owners wrote.
	Objects decide.Objects
	// Raw holds the JSON of each of Objects with the fields that our types do not know, for tools that print objects.
	// It has apiVersion, kind, metadata (with generation and creationTimestamp) and spec, and no status. Nil where others
	// keep the objects, who print them better.
	Raw map[decide.Key][]byte
	// StorageConfig is the content of the Secret storage-config of each namespace that has one: storage key to JSON. It is
	// a credential: never logged, never in Raw.
	StorageConfig map[string]map[string][]byte
	// ConfigMaps in the order in which they were found.
	ConfigMaps []*corev1.ConfigMap
	// Endpoints that statuses tell clients; the zero value leaves them to reconcile.Config.
	Endpoints decide.Endpoints
	// Warnings say what could not be read; the objects concerned are absent or as they last were.
	Warnings []Warning
}

// Warning is something in the source that its owner must correct.
type Warning struct {
	// File as the user named it, or below a directory that the user named.
	File string
	// Line counts from 1; 0 when the warning is about the whole file.
	Line    int
	Message string
}

// String has the form of a compiler's message, which editors and terminals turn into a link.
func (w Warning) String() string {
	if w.Line == 0 {
		return fmt.Sprintf("%s: %s", w.File, w.Message)
	}
	return fmt.Sprintf("%s:%d: %s", w.File, w.Line, w.Message)
}
