package directory

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/source"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// object is one that was understood. It never changes once it is read.
type object struct {
	key  decide.Key
	file string // as the user named it
	line int
	// json is the document, with the present apiVersion and without status.
	json []byte
	// specDigest tells two versions of the spec apart.
	specDigest string
	// typed is one of the types that newTyped makes.
	typed any
}

// reading is what one reading of one file gave.
type reading struct {
	objects []*object
	// invalid objects are known by key, and have a field of the wrong type or an apiVersion that is not read.
	invalid map[decide.Key]bool
	// unidentified: some document could not be told from any object.
	unidentified bool
	warnings     []source.Warning
}

// form is a kind that is read, as newTyped and the API server know it.
type form struct {
	// apiVersion that it is given, whatever old one it was written in.
	apiVersion string
	// clusterWide objects have no namespace.
	clusterWide bool
	newTyped    func() any
}

// oldGroupVersion is the group that Predictor and ServingRuntime had before the project joined KServe.
const oldGroupVersion = "wmlserving.ai.ibm.com/v1"

// forms by kind, then apiVersion.
func forms(kind string) map[string]form {
	v1beta1Name, v1alpha1Name := v1beta1.GroupVersion.String(), v1alpha1.GroupVersion.String()
	switch kind {
	case v1beta1.Kind:
		return map[string]form{
			v1beta1Name: {apiVersion: v1beta1Name, newTyped: func() any { return new(v1beta1.InferenceService) }},
		}
	case v1alpha1.KindPredictor:
		f := form{apiVersion: v1alpha1Name, newTyped: func() any { return new(v1alpha1.Predictor) }}
		return map[string]form{v1alpha1Name: f, oldGroupVersion: f}
	case v1alpha1.KindServingRuntime:
		f := form{apiVersion: v1alpha1Name, newTyped: func() any { return new(v1alpha1.ServingRuntime) }}
		return map[string]form{v1alpha1Name: f, oldGroupVersion: f}
	case v1alpha1.KindClusterServingRuntime:
		return map[string]form{v1alpha1Name: {
			apiVersion: v1alpha1Name, clusterWide: true,
			newTyped: func() any { return new(v1alpha1.ClusterServingRuntime) },
		}}
	case "Secret":
		return map[string]form{"v1": {apiVersion: "v1", newTyped: func() any { return new(corev1.Secret) }}}
	case "ConfigMap":
		return map[string]form{"v1": {apiVersion: "v1", newTyped: func() any { return new(corev1.ConfigMap) }}}
	}
	return nil
}

// header is what makes a document an object.
type header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"`
}

// reader reads one file.
type reader struct {
	file             string
	defaultNamespace string
	reading
}

// read understands the content of a file.
func read(file, defaultNamespace string, data []byte) reading {
	r := &reader{file: file, defaultNamespace: defaultNamespace, reading: reading{invalid: map[decide.Key]bool{}}}
	for _, d := range split(data) {
		values, err := d.values()
		var syntax *syntaxError
		if errors.As(err, &syntax) {
			r.unidentified = true
			r.warn(syntax.line, "%s", syntax.message)
			continue
		}
		for _, v := range values {
			r.value(d, v)
		}
	}
	return r.reading
}

func (r *reader) warn(line int, format string, args ...any) {
	r.warnings = append(r.warnings, source.Warning{File: r.file, Line: line, Message: fmt.Sprintf(format, args...)})
}

// value takes one object or List. Kinds that are not ours pass in silence: a folder may hold a whole deployment.
func (r *reader) value(d document, v value) {
	var h header
	if err := kjson.Unmarshal(v.json, &h); err != nil {
		err = explain(err, v.json, new(header))
		r.unidentified = true
		r.warn(d.fieldLine(v, err), "not a Kubernetes object: %s", err)
		return
	}
	if h.APIVersion == "" || h.Kind == "" {
		r.unidentified = true
		r.warn(v.line, "not a Kubernetes object: apiVersion or kind is missing")
		return
	}
	if h.Kind == "List" && h.APIVersion == "v1" {
		for _, item := range h.Items {
			r.value(d, value{json: item, line: v.line})
		}
		return
	}
	known := forms(h.Kind)
	form, found := known[h.APIVersion]
	switch {
	case found:
		r.object(d, v, h, form)
	case known != nil:
		meant, kept := anyForm(known), ""
		if isSlip(h.APIVersion) {
			r.invalid[r.key(h, meant)] = true
			kept = "; it stays as it was"
		}
		r.warn(v.line, "%s of apiVersion %s is not read: write apiVersion: %s%s", h.Kind, h.APIVersion, meant.apiVersion, kept)
	}
}

// isSlip says that an apiVersion, of a kind that is ours, is a misspelt one of ours rather than another project's: it has
// a group of KServe's, the old group, or none.
func isSlip(apiVersion string) bool {
	group, _, hasGroup := strings.Cut(apiVersion, "/")
	oldGroup, _, _ := strings.Cut(oldGroupVersion, "/")
	return !hasGroup || group == oldGroup || strings.Contains(group, "kserve")
}

// key of the object that a header of that form names.
func (r *reader) key(h header, form form) decide.Key {
	key := decide.Key{Namespace: h.Metadata.Namespace, Kind: h.Kind, Name: h.Metadata.Name}
	if form.clusterWide {
		key.Namespace = ""
	} else if key.Namespace == "" {
		key.Namespace = r.defaultNamespace
	}
	return key
}

func anyForm(known map[string]form) (f form) {
	for _, f = range known {
		break
	}
	return f
}

// object takes one of a kind that is ours.
func (r *reader) object(d document, v value, h header, form form) {
	if h.Kind == "Secret" && h.Metadata.Name != source.StorageSecretName {
		return
	}
	key := r.key(h, form)
	if problem := checkKey(key); problem != "" {
		r.unidentified = true
		r.warn(v.line, "%s: %s", h.Kind, problem)
		return
	}
	o := &object{key: key, file: r.file, line: v.line}
	if err := o.fill(v.json, form); err != nil {
		r.invalid[key] = true
		r.warn(d.fieldLine(v, err), "%s %s: %s; it stays as it was", h.Kind, key.Name, err)
		return
	}
	r.objects = append(r.objects, o)
}

// checkKey keeps to the API server's rules for names, which file names and catalog keys rely on.
func checkKey(key decide.Key) string {
	if key.Name == "" {
		return "metadata.name is missing"
	}
	if len(validation.IsDNS1123Subdomain(key.Name)) > 0 {
		return fmt.Sprintf("metadata.name %q: a name has lower case letters, digits, '-' and '.', at most 253 of them, "+
			"and begins and ends with a letter or digit", key.Name)
	}
	if key.Namespace == "" {
		return ""
	}
	if len(validation.IsDNS1123Label(key.Namespace)) > 0 {
		return fmt.Sprintf("metadata.namespace %q: a namespace has lower case letters, digits and '-', at most 63 of them, "+
			"and begins and ends with a letter or digit", key.Namespace)
	}
	return ""
}

// fill decodes as the API server does: field names by case, unknown fields kept aside in json.
func (o *object) fill(data []byte, form form) error {
	var raw map[string]any
	if err := kjson.Unmarshal(data, &raw); err != nil {
		return err
	}
	delete(raw, "status")
	if raw["apiVersion"] == oldGroupVersion {
		renameFormats(raw)
	}
	raw["apiVersion"] = form.apiVersion
	var err error
	if o.json, err = json.Marshal(raw); err != nil {
		return err
	}
	if o.specDigest, err = specDigest(raw); err != nil {
		return err
	}
	o.typed = form.newTyped()
	if err := kjson.Unmarshal(o.json, o.typed); err != nil {
		return explain(err, o.json, form.newTyped())
	}
	return nil
}

// specDigest relies on encoding/json writing maps in the order of their keys.
func specDigest(raw map[string]any) (string, error) {
	spec, err := json.Marshal(raw["spec"])
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(spec)
	return hex.EncodeToString(sum[:8]), nil
}

// renameFormats gives a ServingRuntime of the old group the present name of its list of formats, which was
// supportedModelTypes (CRD of kserve/modelmesh-serving before 0.8).
func renameFormats(raw map[string]any) {
	spec, _ := raw["spec"].(map[string]any)
	if formats, found := spec["supportedModelTypes"]; found && spec["supportedModelFormats"] == nil {
		spec["supportedModelFormats"] = formats
		delete(spec, "supportedModelTypes")
	}
}
