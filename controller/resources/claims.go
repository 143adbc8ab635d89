package resources

import (
	"encoding/json"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Storage parameters that say which claim is meant.
const (
	parameterType  = "type"
	parameterClaim = "name"
	typeClaim      = "pvc"
)

// Claims answers the PersistentVolumeClaims that the entries of the storage Secret and the models name, sorted, whether they
// exist or not. Models are those that a runtime may hold, and none unless allowAnyPVC is set. An entry or model that cannot
// be read names none, and changes nothing of what others name.
func Claims(storageConfig map[string][]byte, models []*syncv1.Model) []string {
	found := map[string]bool{}
	add := func(storageType, claim string) {
		if storageType == typeClaim && len(validation.IsDNS1123Subdomain(claim)) == 0 {
			found[claim] = true
		}
	}
	for _, content := range storageConfig {
		entry := readEntry(content)
		add(entry.Type, entry.Name)
	}
	for _, m := range models {
		storage := m.GetStorage()
		entry := readEntry(storageConfig[storage.GetSecretKey()])
		if t, ok := storage.GetParameters()[parameterType]; ok {
			entry.Type = t
		}
		if name, ok := storage.GetParameters()[parameterClaim]; ok {
			entry.Name = name
		}
		add(entry.Type, entry.Name)
	}
	return slices.Sorted(maps.Keys(found))
}

// entry is what concerns claims in one entry of the Secret. Other types have fields of those names for other things.
type entry struct {
	Type, Name string
}

// readEntry answers the zero entry for one that cannot be read: only these two fields matter, whatever the others hold.
func readEntry(content []byte) (e entry) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(content, &fields) != nil {
		return entry{}
	}
	if json.Unmarshal(fields[parameterType], &e.Type) != nil || json.Unmarshal(fields[parameterClaim], &e.Name) != nil {
		return entry{Type: e.Type}
	}
	return e
}
