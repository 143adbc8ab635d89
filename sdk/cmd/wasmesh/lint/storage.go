package lint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/controller/resolve"
)

// storageTypes are those that a host fetches from in a cluster.
func storageTypes() []string { return []string{"s3", "pvc"} }

// unsupported says why nothing can be fetched from storage of a type; empty when it can.
func unsupported(storageType string) string {
	if slices.Contains(storageTypes(), storageType) {
		return ""
	}
	return fmt.Sprintf("storage of type %s is not supported: there are %s; copy the files there",
		quoted(storageType), strings.Join(storageTypes(), ", "))
}

// etcdSecret is ModelMesh's, with how it reaches etcd.
const etcdSecret = "model-serving-etcd"

// secret checks the storage Secret, and knows etcd's.
func (l *linter) secret(o *object) {
	if o.name == etcdSecret {
		l.found(o, Warning, nil, "there is no etcd: the Secret and the etcd that it leads to can go when ModelMesh is gone")
	}
	if o.name != l.settings.StorageSecretName {
		return
	}
	var s corev1.Secret
	if err := o.decode(&s); err != nil {
		// Not err, which may quote a value.
		l.found(o, Error, nil, "the API server will refuse it: data has to be base64 text, or text under stringData")
		return
	}
	if l.storage == nil {
		l.storage = map[string]map[string][]byte{}
	}
	if l.storage[o.namespace] == nil {
		l.storage[o.namespace] = map[string][]byte{}
	}
	entries := l.storage[o.namespace]
	for _, key := range sortedKeys(s.Data) {
		entries[key] = s.Data[key]
		l.entry(o, []string{"data", key}, s.Data[key])
	}
	for _, key := range sortedKeys(s.StringData) {
		entries[key] = []byte(s.StringData[key])
		l.entry(o, []string{"stringData", key}, entries[key])
	}
}

// entry checks one entry of the storage Secret.
func (l *linter) entry(o *object, path []string, content []byte) {
	key := path[len(path)-1]
	var fields map[string]any
	if err := json.Unmarshal(content, &fields); err != nil || fields == nil {
		l.found(o, Error, path, "entry %s is no JSON object: models that use it will not load", key)
		return
	}
	storageType, isText := fields["type"].(string)
	switch {
	case fields["type"] != nil && !isText:
		l.found(o, Error, path, "the type of entry %s is no string: models that use it will not load", key)
	case isText:
		if problem := unsupported(storageType); problem != "" {
			l.found(o, Error, path, "entry %s: %s", key, problem)
		}
	}
}

// modelStorage checks where a model is, as far as the manifests say it.
func (l *linter) modelStorage(o *object, spec resolve.Spec) {
	storageType := spec.Storage.GetParameters()["type"]
	path := []string{"spec"}
	if storageType == "" {
		storageType = l.storageTypeOf(o, spec)
	}
	if storageType == "" {
		return
	}
	if problem := unsupported(storageType); problem != "" {
		l.found(o, Error, path, "it will not load: %s", problem)
	}
}

// storageTypeOf looks into the storage Secret of the object's namespace; empty when that was not read or does not say.
func (l *linter) storageTypeOf(o *object, spec resolve.Spec) string {
	entries, read := l.storage[o.namespace]
	if !read {
		return ""
	}
	key := spec.Storage.GetSecretKey()
	content, there := entries[key]
	switch {
	case key == "":
		content = entries["default"]
	case !there:
		l.found(o, Error, []string{"spec"}, "it will not load: the Secret %s that was read has no entry %s", l.settings.StorageSecretName, quoted(key))
		return ""
	}
	var entry struct {
		Type any `json:"type"`
	}
	if json.Unmarshal(content, &entry) != nil {
		return ""
	}
	text, _ := entry.Type.(string)
	return text
}
