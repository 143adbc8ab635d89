package resolve

import (
	"github.com/wasmesh/wasmesh/sdk/modelid"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Spec is one declared model, valid and free of the forms in which it may be written.
type Spec struct {
	Namespace string
	// ID of the model; its Name is the alias, its Source the owner of the alias.
	ID modelid.ID
	// Format of the files; FormatVersion may be empty.
	Format, FormatVersion string
	// Protocol that clients need: v1, v2, grpc-v1, grpc-v2; empty: any.
	Protocol string
	// Runtime is the only one that may hold the model; empty: any that supports it.
	Runtime string
	// Storage is shared with the rows made of this Spec and must not be changed.
	Storage *syncv1.StorageReference
	// Wishes are left to whoever knows the last good ones: see ReadWishes.
	Wishes
}

// Model makes the catalog row of a model that the eligible runtimes, most preferred first, may hold. The row shares
// memory with its arguments.
func Model(spec Spec, eligible []string) *syncv1.Model {
	m := &syncv1.Model{
		Namespace: spec.Namespace,
		Id:        spec.ID.String(),
		Type:      &syncv1.ModelType{Name: spec.Format, Version: spec.FormatVersion},
		Storage:   spec.Storage,
		Runtimes:  eligible,
		Knobs:     spec.Knobs,
		Alias:     spec.ID.Name,
	}
	if spec.SizeBytes > 0 {
		m.SizeHint = &syncv1.Resources{HostMemoryBytes: spec.SizeBytes}
	}
	return m
}

// value reads an optional field.
func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
