package directory

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "k8s.io/apimachinery/pkg/util/json"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/policyconfig"
	"github.com/wasmesh/wasmesh/controller/resolve"
	"github.com/wasmesh/wasmesh/controller/source"
	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// origin is what an API server would remember about an object from one version to the next.
type origin struct {
	// Generation counts the versions of the spec, from 1.
	Generation int64 `json:"generation"`
	// SpecDigest tells two versions of the spec apart.
	SpecDigest string `json:"specDigest"`
	// Created is the modification time of the file in which the object was first seen.
	Created time.Time `json:"created"`
}

// next is the origin of the object's present version.
func (before origin) next(o *object, f *file, now time.Time) origin {
	switch {
	case before.Generation == 0:
		created := f.stamp.modified
		if created.IsZero() || created.After(now) {
			created = now
		}
		return origin{Generation: 1, SpecDigest: o.specDigest, Created: created.UTC().Truncate(time.Second)}
	case before.SpecDigest != o.specDigest:
		before.Generation++
		before.SpecDigest = o.specDigest
	}
	return before
}

// merge makes a Snapshot of all files. Of several objects with one key the first by path and position wins.
func (s *Source) merge(now time.Time) *source.Snapshot {
	snapshot := &source.Snapshot{
		Raw:           map[decide.Key][]byte{},
		StorageConfig: map[string]map[string][]byte{},
		Warnings:      slices.SortedFunc(maps.Values(s.unreadable), compareWarnings),
	}
	winners := map[decide.Key]*object{}
	origins := map[decide.Key]origin{}
	completed := map[*object]*completion{}
	for _, path := range slices.Sorted(maps.Keys(s.files)) {
		f := s.files[path]
		snapshot.Warnings = append(snapshot.Warnings, f.warnings...)
		for _, o := range f.objects {
			if first := winners[o.key]; first != nil {
				snapshot.Warnings = append(snapshot.Warnings, duplicate(o, first))
				continue
			}
			winners[o.key] = o
			if w, is := ignored(o); is {
				snapshot.Warnings = append(snapshot.Warnings, w)
			}
			origins[o.key] = s.origins[o.key].next(o, f, now)
			c := s.completed[o]
			if c == nil || c.from != origins[o.key] {
				c = complete(o, origins[o.key])
			}
			completed[o] = c
			add(snapshot, o, c)
		}
	}
	s.origins, s.completed = origins, completed
	sortObjects(&snapshot.Objects)
	return snapshot
}

func compareWarnings(a, b source.Warning) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Message, b.Message))
}

func duplicate(o, first *object) source.Warning {
	return source.Warning{
		File: o.file, Line: o.line,
		Message: fmt.Sprintf("%s %s is declared twice; the one at %s:%d is used, this one is not",
			o.key.Kind, o.key.Name, first.file, first.line),
	}
}

// ignored warns of an InferenceService that is not for this mesh, and of a policy that is not labelled as one. In a
// cluster another controller may want it; among files nobody else reads, and silence would be all that its owner hears.
func ignored(o *object) (source.Warning, bool) {
	why := ""
	switch typed := o.typed.(type) {
	case *v1beta1.InferenceService:
		if !resolve.IsModelMesh(typed) {
			why = fmt.Sprintf("its annotation %s is not %s", serving.AnnotationDeploymentMode, serving.DeploymentModeModelMesh)
		}
	case *corev1.ConfigMap:
		why = policyconfig.Mislabelled(typed)
	}
	return source.Warning{File: o.file, Line: o.line, Message: fmt.Sprintf(
		"%s %s/%s is ignored: %s", o.key.Kind, o.key.Namespace, o.key.Name, why)}, why != ""
}

// completion is an object with what an API server would have filled in.
type completion struct {
	from  origin
	typed any
	// raw is nil of a Secret and a ConfigMap, which no tool prints.
	raw []byte
}

// complete leaves the object itself alone: another snapshot may fill in something else.
func complete(o *object, from origin) *completion {
	c := &completion{from: from}
	meta := func(m *metav1.ObjectMeta) {
		m.Namespace = o.key.Namespace
		m.Generation = from.Generation
		m.CreationTimestamp = metav1.NewTime(from.Created)
	}
	switch typed := o.typed.(type) {
	case *v1beta1.InferenceService:
		copied := *typed
		meta(&copied.ObjectMeta)
		c.typed = &copied
	case *v1alpha1.Predictor:
		copied := *typed
		meta(&copied.ObjectMeta)
		c.typed = &copied
	case *v1alpha1.ServingRuntime:
		copied := *typed
		meta(&copied.ObjectMeta)
		c.typed = &copied
	case *v1alpha1.ClusterServingRuntime:
		copied := *typed
		meta(&copied.ObjectMeta)
		c.typed = &copied
	case *corev1.ConfigMap:
		copied := *typed
		meta(&copied.ObjectMeta)
		c.typed = &copied
		return c
	case *corev1.Secret:
		c.typed = typed
		return c
	}
	c.raw = filledIn(o, from)
	return c
}

// add puts an object into the snapshot.
func add(snapshot *source.Snapshot, o *object, c *completion) {
	objects := &snapshot.Objects
	switch typed := c.typed.(type) {
	case *v1beta1.InferenceService:
		objects.InferenceServices = append(objects.InferenceServices, typed)
	case *v1alpha1.Predictor:
		objects.Predictors = append(objects.Predictors, typed)
	case *v1alpha1.ServingRuntime:
		objects.ServingRuntimes = append(objects.ServingRuntimes, typed)
	case *v1alpha1.ClusterServingRuntime:
		objects.ClusterServingRuntimes = append(objects.ClusterServingRuntimes, typed)
	case *corev1.ConfigMap:
		snapshot.ConfigMaps = append(snapshot.ConfigMaps, typed)
	case *corev1.Secret:
		snapshot.StorageConfig[o.key.Namespace] = secretContent(typed)
	}
	if c.raw != nil {
		snapshot.Raw[o.key] = c.raw
	}
}

// secretContent joins both spellings as the API server does: stringData wins.
func secretContent(secret *corev1.Secret) map[string][]byte {
	content := make(map[string][]byte, len(secret.Data)+len(secret.StringData))
	maps.Copy(content, secret.Data)
	for key, text := range secret.StringData {
		content[key] = []byte(text)
	}
	return content
}

// filledIn is the document with the same additions as the typed object.
func filledIn(o *object, from origin) []byte {
	var raw map[string]any
	if err := kjson.Unmarshal(o.json, &raw); err != nil {
		return nil // It has been decoded before.
	}
	metadata, _ := raw["metadata"].(map[string]any)
	if o.key.Namespace == "" {
		delete(metadata, "namespace")
	} else {
		metadata["namespace"] = o.key.Namespace
	}
	metadata["generation"] = from.Generation
	metadata["creationTimestamp"] = from.Created
	data, err := json.Marshal(raw)
	if err != nil {
		return nil // A value that came from JSON always goes back to it.
	}
	return data
}

func sortObjects(objects *decide.Objects) {
	sortByName(objects.InferenceServices)
	sortByName(objects.Predictors)
	sortByName(objects.ServingRuntimes)
	sortByName(objects.ClusterServingRuntimes)
}

func sortByName[T metav1.Object](objects []T) {
	slices.SortFunc(objects, func(a, b T) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
}
