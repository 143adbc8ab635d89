package storage

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxNameBytes is NAME_MAX of Linux file systems.
	maxNameBytes = 255
	// maxKeyBytes is S3's own limit on keys and leaves room below PATH_MAX (4096) for the models directory.
	maxKeyBytes = 1024
)

// cleanPath brings a model's or schema's path to the form that keys have: no slash at either end; "" is the root.
func cleanPath(p string) (string, error) {
	p = strings.Trim(p, "/")
	if p == "" {
		return "", nil
	}
	if why := badKey(p); why != "" {
		return "", errorf(Misconfigured, "storage path %q %s; correct storage.path", p, why)
	}
	return p, nil
}

// badKey says why a key cannot be a relative file path on this disk, or "".
func badKey(key string) string {
	if len(key) > maxKeyBytes {
		return "is longer than 1024 bytes"
	}
	if !utf8.ValidString(key) {
		return "is not valid UTF-8"
	}
	for segment := range strings.SplitSeq(key, "/") {
		if why := badName(segment); why != "" {
			return why
		}
	}
	return ""
}

// badName says why one segment cannot be a file name, or "". A backslash is refused because tools that came from
// Windows mean a directory by it.
func badName(name string) string {
	switch {
	case name == "":
		return "has an empty segment (a leading, trailing or doubled slash)"
	case name == "." || name == "..":
		return "has a segment \"" + name + "\""
	case len(name) > maxNameBytes:
		return "has a segment longer than 255 bytes"
	case strings.ContainsFunc(name, func(r rune) bool { return r == '\\' || unicode.IsControl(r) }):
		return "has a backslash or a control character"
	}
	return ""
}

// relative answers where the object lies below the model's path: "" when it is the path itself. ok is false for an
// object that is not part of the model.
func relative(modelPath, key string) (rel string, ok bool) {
	if modelPath == "" {
		return key, true
	}
	rest, ok := strings.CutPrefix(key, modelPath)
	if !ok || rest == "" {
		return "", ok
	}
	return strings.CutPrefix(rest, "/")
}

// badModelID says why an id cannot name a directory beside ours (dot) and the adapters' (underscore), or "".
func badModelID(id string) string {
	switch {
	case strings.HasPrefix(id, ".") || strings.HasPrefix(id, "_"):
		return "starts with a dot or an underscore"
	case strings.Contains(id, "/"):
		return "contains a slash"
	}
	if !utf8.ValidString(id) {
		return "is not valid UTF-8"
	}
	return badName(id)
}

// localNames answers under which names model and schema lie in the model's directory, as ModelMesh names them.
func localNames(modelPath, schemaPath string) (model, schema string) {
	model = "_model"
	if modelPath != "" {
		model = path.Base(modelPath)
	}
	if schemaPath == "" {
		return model, ""
	}
	schema = path.Base(schemaPath)
	if schema == model {
		schema = "_schema.json"
	}
	if schema == model {
		schema = "_schema_.json"
	}
	return model, schema
}
