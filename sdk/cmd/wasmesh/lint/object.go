package lint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	kjson "k8s.io/apimachinery/pkg/util/json"
	k8syaml "sigs.k8s.io/yaml"
)

// Kinds that are looked at.
const (
	kindService        = "InferenceService"
	kindPredictor      = "Predictor"
	kindRuntime        = "ServingRuntime"
	kindClusterRuntime = "ClusterServingRuntime"
	kindSecret         = "Secret"
	kindConfigMap      = "ConfigMap"
)

// API versions of the kinds; Predictor and ServingRuntime had the old one before the project joined KServe.
const (
	versionService = "serving.kserve.io/v1beta1"
	versionOther   = "serving.kserve.io/v1alpha1"
	versionOld     = "wmlserving.ai.ibm.com/v1"
)

// object is one of a manifest.
type object struct {
	file, apiVersion, kind, namespace, name string
	annotations                             map[string]string
	json                                    []byte
	fields                                  map[string]any
	// node is the object's in the YAML, for lines; offset is added to them.
	node   *yaml.Node
	offset int
}

func (o *object) fullName() string {
	if o.namespace == "" {
		return o.name
	}
	return o.namespace + "/" + o.name
}

// lineOf the deepest part of a path of keys that there is.
func (o *object) lineOf(path ...string) int {
	line, node := o.node.Line, o.node
	for _, key := range path {
		found := false
		if node.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == key {
					line, node, found = node.Content[i].Line, node.Content[i+1], true
					break
				}
			}
		}
		if !found {
			break
		}
	}
	return line + o.offset
}

// at answers what is at a path of keys; nil for nothing.
func (o *object) at(path ...string) any {
	var value any = o.fields
	for _, key := range path {
		fields, _ := value.(map[string]any)
		value = fields[key]
	}
	return value
}

// keys of the mapping at a path.
func (o *object) keys(path ...string) []string {
	fields, _ := o.at(path...).(map[string]any)
	return sortedKeys(fields)
}

// decode into a type of the API, as the API server does: field names by case, unknown fields left out.
func (o *object) decode(to any) error { return kjson.Unmarshal(o.json, to) }

// read adds the objects of a file.
func (l *linter) read(f File) {
	for _, d := range split(f.Content) {
		text, err := k8syaml.YAMLToJSONStrict(d.text)
		var root yaml.Node
		if err == nil {
			err = yaml.Unmarshal(d.text, &root)
		}
		if err != nil {
			line, message := yamlProblem(err)
			line = min(line, 1+bytes.Count(d.text, []byte("\n"))) // The parser may be a line ahead.
			l.findings = append(l.findings, Finding{File: f.Name, Line: d.line + line - 1, Level: Error, Message: "malformed YAML: " + message})
			continue
		}
		if len(root.Content) > 0 {
			l.value(f.Name, d.line-1, root.Content[0], text)
		}
	}
}

// value takes an object, or those of a List.
func (l *linter) value(file string, offset int, node *yaml.Node, text []byte) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name        string            `json:"name"`
			Namespace   string            `json:"namespace"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Items []json.RawMessage `json:"items"`
	}
	o := &object{file: file, json: text, node: node, offset: offset}
	if err := kjson.Unmarshal(text, &head); err != nil || kjson.Unmarshal(text, &o.fields) != nil {
		l.findings = append(l.findings, Finding{File: file, Line: node.Line + offset, Level: Error, Message: "it is no Kubernetes object"})
		return
	}
	o.apiVersion, o.kind = head.APIVersion, head.Kind
	o.namespace, o.name, o.annotations = head.Metadata.Namespace, head.Metadata.Name, head.Metadata.Annotations
	if head.Kind == "List" {
		items := child(node, "items")
		for i, item := range head.Items {
			at := node
			if items != nil && i < len(items.Content) {
				at = items.Content[i]
			}
			l.value(file, offset, at, item)
		}
		return
	}
	if l.ours(o) {
		l.objects = append(l.objects, o)
	}
}

func child(node *yaml.Node, key string) *yaml.Node {
	for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// ours says whether the object is of a kind that is looked at. One of such a kind in another version is not read by
// anybody here.
func (l *linter) ours(o *object) bool {
	versions := map[string][]string{
		kindService: {versionService}, kindPredictor: {versionOther, versionOld}, kindRuntime: {versionOther, versionOld},
		kindClusterRuntime: {versionOther}, kindSecret: {"v1"}, kindConfigMap: {"v1"},
	}[o.kind]
	for _, version := range versions {
		if o.apiVersion == version {
			return true
		}
	}
	group, _, _ := strings.Cut(o.apiVersion, "/")
	if len(versions) > 0 && (group == "serving.kserve.io" || group == "wmlserving.ai.ibm.com") {
		l.found(o, Error, []string{"apiVersion"}, "apiVersion %s is not served: write %s", o.apiVersion, versions[0])
	}
	return false
}

// document is one of a file's.
type document struct {
	text []byte
	// line of the file on which it starts, from 1.
	line int
}

// split cuts at the "---" lines, so that a malformed document does not take its neighbours with it.
func split(content []byte) (documents []document) {
	start, line, first := 0, 1, 1
	for at := 0; at < len(content); line++ {
		end := len(content)
		if i := bytes.IndexByte(content[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		text := content[at:end]
		if bytes.HasPrefix(text, []byte("---")) && (len(text) == 3 || strings.ContainsRune(" \t\r\n", rune(text[3]))) && at > start {
			documents = append(documents, document{content[start:at], first})
			start, first = at, line
		}
		at = end
	}
	return append(documents, document{content[start:], first})
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// yamlProblem takes a message of go-yaml apart: "yaml: line 4: did not find expected key".
func yamlProblem(err error) (line int, message string) {
	message = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:"))
	line = 1
	if at := yamlLine.FindStringSubmatchIndex(message); at != nil {
		line, _ = strconv.Atoi(message[at[2]:at[3]])
		message = message[:at[0]] + message[at[1]:]
	}
	message, _, _ = strings.Cut(message, "\n")
	return max(line, 1), message
}

// quoted bounds what is repeated of a manifest.
func quoted(s string) string {
	const most = 64
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return fmt.Sprintf("%q", s)
}
