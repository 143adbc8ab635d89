package storage

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	typeKey    = "type"
	defaultKey = "default"
)

// location is a storage reference resolved against the Secret: of which type it is, and its settings.
type location struct {
	typ string
	// secretKey names the Secret entry for messages; empty when the parameters stand alone.
	secretKey string
	// params is the entry with the parameters merged in. Values are what JSON gives: not all are strings.
	params map[string]any
	// overridden says which top-level settings the reference's parameters gave: these come from whoever wrote the
	// InferenceService, the rest from the operator's Secret.
	overridden map[string]bool
}

// aliases are the older spellings of s3 settings that users' Secrets still carry.
var aliases = map[string]string{"access_key": "access_key_id", "default_bucket": "bucket"}

// resolve follows the rules of ModelMesh's puller (model-serving-puller/puller/puller.go, dotpath.go): a key that is
// named must exist; without one, "default_<type>" if the parameters name a type, else "default", and if that is missing
// the parameters stand alone. Parameters override by dotted path.
func resolve(entries map[string][]byte, ref *syncv1.StorageReference) (location, error) {
	loc := location{secretKey: ref.GetSecretKey(), overridden: map[string]bool{}}
	params := maps.Clone(ref.GetParameters())
	key := loc.secretKey
	if key == "" {
		key = defaultKey
		if t := params[typeKey]; t != "" {
			key += "_" + t
		}
	}
	raw, ok := entries[key]
	switch {
	case ok:
		loc.secretKey = key
	case loc.secretKey != "":
		return loc, errorf(Misconfigured, "Did not find storage config for key %s: Storage secretKey not found: %s; "+
			"add this key to the storage-config Secret or correct storage.key", key, key)
	}
	entry, err := parseEntry(key, raw)
	if err != nil {
		return loc, err
	}
	loc.typ = params[typeKey]
	if loc.typ == "" {
		delete(params, typeKey)
		loc.typ, _ = entry[typeKey].(string)
	}
	if loc.typ == "" {
		return loc, errorf(Misconfigured, "Predictor Storage field missing: neither storage.key, a default entry of the "+
			"storage-config Secret nor storage.parameters says a storage type; set storage.key or storage.parameters.type")
	}
	if loc.typ == "s3" {
		renameAliases(entry)
		renameAliases(params)
	}
	loc.params = entry
	for _, path := range slices.Sorted(maps.Keys(params)) {
		if err := override(entry, path, params[path]); err != nil {
			return loc, err
		}
		top, _, _ := strings.Cut(path, ".")
		loc.overridden[top] = true
	}
	return loc, nil
}

// parseEntry never repeats what it parsed: a JSON error may quote the text, which is a credential.
func parseEntry(key string, raw []byte) (map[string]any, error) {
	entry := map[string]any{}
	if raw == nil {
		return entry, nil
	}
	if err := json.Unmarshal(raw, &entry); err != nil || entry == nil {
		return nil, errorf(Misconfigured, "entry %q of the storage-config Secret is not a JSON object; correct it", key)
	}
	return entry, nil
}

// renameAliases gives older spellings their present name, which wins when both are there.
func renameAliases[V any](m map[string]V) {
	for old, name := range aliases {
		v, ok := m[old]
		if !ok {
			continue
		}
		if _, taken := m[name]; !taken {
			m[name] = v
		}
		delete(m, old)
	}
}

// override sets one dotted path. Only a string may be overwritten, and only objects are walked through.
func override(m map[string]any, path, value string) error {
	const merge = "Unable to merge storage parameters from the storage config and the Predictor Storage field: "
	fields := strings.Split(path, ".")
	last := len(fields) - 1
	for i, field := range fields[:last] {
		next, ok := m[field]
		if !ok {
			next = map[string]any{}
			m[field] = next
		}
		if m, ok = next.(map[string]any); !ok {
			return errorf(Misconfigured, merge+"expected an object at '%s'", strings.Join(fields[:i+1], "."))
		}
	}
	if old, ok := m[fields[last]]; ok {
		if _, ok := old.(string); !ok {
			return errorf(Misconfigured, merge+"expected a string at '%s', but the entry holds something else there", path)
		}
	}
	m[fields[last]] = value
	return nil
}

// text answers a setting that has to be a string; absent is "".
func (l location) text(name string) (string, error) {
	v, ok := l.params[name]
	if !ok {
		return "", nil
	}
	s, ok := v.(string)
	if !ok {
		return "", errorf(Misconfigured, "setting %q of %s must be a string", name, l.describe())
	}
	return s, nil
}

// required answers a setting that has to be there.
func (l location) required(name string) (string, error) {
	s, err := l.text(name)
	if err == nil && s == "" {
		where := "storage.parameters"
		if l.secretKey != "" {
			where = l.describe() + " or in storage.parameters"
		}
		err = errorf(Misconfigured, "storage of type %s needs %q; set it in %s", l.typ, name, where)
	}
	return s, err
}

// describe names for a user where the settings came from.
func (l location) describe() string {
	if l.secretKey == "" {
		return "storage.parameters"
	}
	return "entry \"" + l.secretKey + "\" of the storage-config Secret"
}
