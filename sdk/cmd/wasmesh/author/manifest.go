package author

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// LabelPolicy marks a ConfigMap that holds a policy.
const LabelPolicy = "wasmesh.dev/policy"

// Kubernetes' limits: of a ConfigMap's data, and of the annotation in which `kubectl apply` without --server-side keeps
// the whole object.
const (
	maxConfigMapBytes  = 1 << 20
	maxAnnotationBytes = 256 << 10
)

// Manifest is what a ConfigMap of a policy says.
type Manifest struct {
	Name, Namespace string
	// Module is the wasm, not gzipped.
	Module []byte
	// Config is what mesh_configure is given; empty for none.
	Config string
	// Hooks it shall decide; empty is every hook that it exports.
	Hooks []string
	// Shadow asks it beside the policy that decides, and drops its answers.
	Shadow bool
}

// moduleKey is the same for every policy: a key has to be shorter than the longest name.
const moduleKey = "policy.wasm.gz"

// ConfigMap makes the object.
func (m Manifest) ConfigMap() (*corev1.ConfigMap, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("write ConfigMap: %w", err)
	}
	zipped, err := compress(m.Module)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(m.Module)
	object := &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{
			Name: m.Name, Namespace: m.Namespace, Labels: map[string]string{LabelPolicy: "true"},
		},
		Data:       map[string]string{"sha256": hex.EncodeToString(digest[:])},
		BinaryData: map[string][]byte{moduleKey: zipped},
	}
	if m.Config != "" {
		object.Data["config"] = m.Config
	}
	if len(m.Hooks) > 0 {
		object.Data["hooks"] = strings.Join(m.Hooks, ",")
	}
	if m.Shadow {
		object.Data["mode"] = "shadow"
	}
	if size := dataBytes(object); size > maxConfigMapBytes {
		return nil, fmt.Errorf("write ConfigMap: %s takes %d bytes, the module gzipped, and a ConfigMap holds at most %d: strip the module, or use a language with a smaller runtime",
			m.Name, size, maxConfigMapBytes)
	}
	return object, nil
}

// YAML writes the ConfigMap. serverSide says that it is too large for `kubectl apply` without --server-side.
func (m Manifest) YAML() (content []byte, serverSide bool, err error) {
	object, err := m.ConfigMap()
	if err != nil {
		return nil, false, err
	}
	content, err = yaml.Marshal(object)
	if err != nil {
		return nil, false, fmt.Errorf("write ConfigMap: %w", err)
	}
	return content, len(content) > maxAnnotationBytes, nil
}

// check finds what Kubernetes or the mesh would refuse. The name becomes that of a file, too.
func (m Manifest) check() error {
	if wrong := validation.IsDNS1123Subdomain(m.Name); len(wrong) > 0 {
		return fmt.Errorf("%q cannot be the name of a ConfigMap: %s", m.Name, wrong[0])
	}
	if wrong := validation.IsDNS1123Label(m.Namespace); len(wrong) > 0 {
		return fmt.Errorf("%q cannot be a namespace: %s", m.Namespace, wrong[0])
	}
	for _, hook := range m.Hooks {
		if !slices.Contains(Hooks(), hook) {
			return fmt.Errorf("hook %q is none of %s", hook, strings.Join(Hooks(), ", "))
		}
	}
	if !utf8.ValidString(m.Config) {
		return fmt.Errorf("the configuration of %s is not UTF-8 text", m.Name)
	}
	return nil
}

// dataBytes is what Kubernetes holds to the limit: keys and values of both kinds.
func dataBytes(object *corev1.ConfigMap) int {
	size := 0
	for key, value := range object.Data {
		size += len(key) + len(value)
	}
	for key, value := range object.BinaryData {
		size += len(key) + len(value)
	}
	return size
}

// IsManifest says whether a file holds one ConfigMap of a policy of that namespace and name and nothing else, so that a
// new one may take its place. A ConfigMap that names no namespace is of that one.
func IsManifest(content []byte, namespace, name string) bool {
	if bytes.Contains(content, []byte("\n---")) {
		return false
	}
	var object corev1.ConfigMap
	if err := yaml.UnmarshalStrict(content, &object); err != nil {
		return false
	}
	return object.Kind == "ConfigMap" && (object.Namespace == "" || object.Namespace == namespace) &&
		object.Name == name && object.Labels[LabelPolicy] == "true"
}

// compress has no time and no name in it, so that equal modules make equal ConfigMaps.
func compress(module []byte) ([]byte, error) {
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(module)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("gzip module: %w", err)
	}
	return zipped.Bytes(), nil
}
