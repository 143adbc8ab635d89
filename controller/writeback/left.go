package writeback

import "encoding/json"

// LeftOfFailure is what Kind.Left answers of a lastFailureInfo, of either kind: null when there should be none, otherwise
// null for each of its fields that should be empty. Some is false when nothing is left.
func LeftOfFailure[Failure any](wanted, there *Failure) (patch any, some bool) {
	if wanted == nil || there == nil {
		return nil, there != nil
	}
	stays, nulls := fields(wanted), map[string]any{}
	for name := range fields(there) {
		if _, found := stays[name]; !found {
			nulls[name] = nil
		}
	}
	return nulls, len(nulls) > 0
}

// fields that are not empty, by their names in JSON.
func fields(failure any) map[string]json.RawMessage {
	var named map[string]json.RawMessage
	if data, err := json.Marshal(failure); err == nil {
		_ = json.Unmarshal(data, &named) // What was just marshalled of a struct is an object.
	}
	return named
}
